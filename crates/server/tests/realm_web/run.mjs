// Runs one scenario with the web SDK in Node: `node run.mjs SDK_FOLDER SETTINGS SCENARIO`; `--list` names them.
import { createRequire } from "node:module";
import { join } from "node:path";

import { scenarios } from "./scenarios.mjs";

const [folder, settings, name] = process.argv.slice(2);
if (folder === "--list") {
    console.log(Object.keys(scenarios).join("\n"));
} else {
    const Realm = createRequire(join(folder, "package.json"))("realm-web");
    try {
        await scenarios[name]({ Realm, settings: JSON.parse(settings) });
    } catch (error) {
        console.error(error.stack);
        process.exitCode = 1;
    }
}
