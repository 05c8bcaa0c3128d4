// What an app on the platform's web SDK does, told through the SDK alone. Runs in Node and in a browser.
//
// Each scenario gets `Realm` (the SDK) and `settings`: the base URL of the server with the access tokens of everyday
// length, and of one whose access tokens live a second.

const APP = "realm-web-abcde";
const CONFIRM_APP = "confirm-abcde";
const TOKEN_KEY = "a key of at least thirty-two letters";
const PASSWORD = "correct horse";

function check(condition, message) {
    if (!condition) throw new Error(`not so: ${message}`);
}

function equal(actual, expected, message) {
    const [left, right] = [actual, expected].map((value) => JSON.stringify(value));
    check(left === right, `${message}: expected ${right}, got ${left}`);
}

async function fails(promise, expected, message) {
    let error;
    try {
        await promise;
    } catch (caught) {
        error = caught;
    }
    check(error !== undefined, `${message}: it did not fail`);
    for (const [field, value] of Object.entries(expected)) {
        equal(error[field], value, `${message}: ${field} of "${error.message}"`);
    }
    return error;
}

let count = 0;

/** A name that nobody has had before. */
function unique(prefix) {
    count += 1;
    return `${prefix}-${Date.now().toString(36)}-${Math.random().toString(36).slice(2)}-${count}`;
}

const address = () => `${unique("user")}@example.com`;

/** An app with storage of its own, as another browser would have it. */
function openApp({ Realm, settings }, { id = APP, baseUrl = settings.server } = {}) {
    const entries = new Map();
    const storage = {
        get: (key) => entries.get(key) ?? null,
        set: (key, value) => entries.set(key, value),
        remove: (key) => entries.delete(key),
        prefix: (part) => prefixed(storage, part),
        clear: (prefix = "") => [...entries.keys()].filter((key) => key.startsWith(prefix)).forEach((key) => entries.delete(key)),
        addListener() {},
        removeListener() {},
    };
    return new Realm.App({ id, baseUrl, storage });
}

function prefixed(storage, part) {
    const name = (key) => `${part}:${key}`;
    return {
        get: (key) => storage.get(name(key)),
        set: (key, value) => storage.set(name(key), value),
        remove: (key) => storage.remove(name(key)),
        prefix: (inner) => prefixed(storage, name(inner)),
        clear: (prefix = "") => storage.clear(name(prefix)),
        addListener() {},
        removeListener() {},
    };
}

async function newUser(world, options) {
    const app = openApp(world, options);
    const email = address();
    await app.emailPasswordAuth.registerUser({ email, password: PASSWORD });
    const user = await app.logIn(world.Realm.Credentials.emailPassword(email, PASSWORD));
    return { app, user, email };
}

function base64Url(bytes) {
    return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

async function signedToken(claims, { key = TOKEN_KEY, header = { alg: "HS256", typ: "JWT" } } = {}) {
    const encode = (value) => base64Url(new TextEncoder().encode(JSON.stringify(value)));
    const content = `${encode(header)}.${encode(claims)}`;
    const algorithm = { name: "HMAC", hash: "SHA-256" };
    const secret = await crypto.subtle.importKey("raw", new TextEncoder().encode(key), algorithm, false, ["sign"]);
    const signature = await crypto.subtle.sign("HMAC", secret, new TextEncoder().encode(content));
    return `${content}.${base64Url(new Uint8Array(signature))}`;
}

const inAnHour = () => Math.floor(Date.now() / 1000) + 3600;

function claimsOf(token) {
    return JSON.parse(atob(token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/")));
}

const wait = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

export const scenarios = {
    async location(world) {
        const app = openApp(world);
        equal(await app.locationUrl, world.settings.server, "the host name is this server's");
        const unknown = openApp(world, { id: "nobody-abcde" });
        await fails(
            unknown.logIn(world.Realm.Credentials.anonymous()),
            { statusCode: 404, error: "cannot find app using Client App ID 'nobody-abcde'" },
            "an app that is not served",
        );
    },

    async "anonymous users"(world) {
        const { Credentials } = world.Realm;
        const app = openApp(world);
        const user = await app.logIn(Credentials.anonymous());
        equal(user.providerType, "anon-user", "provider");
        equal(user.identities.map((identity) => identity.providerType), ["anon-user"], "identities");
        check(/^[0-9a-f]{24}$/.test(user.id), `the id ${user.id} is an ObjectId`);
        check(/^[0-9a-f]{24}$/.test(user.deviceId), `the device id ${user.deviceId} is an ObjectId`);
        check(user.isLoggedIn && app.currentUser === user, "the user is the current one");
        equal((await app.logIn(Credentials.anonymous())).id, user.id, "the SDK uses its session again");
        const other = await app.logIn(Credentials.anonymous(false));
        check(other.id !== user.id, "a login without a session makes a new user");
        equal(other.deviceId, user.deviceId, "the device stays the same");
    },

    async "accounts with e-mail address and password"(world) {
        const { Credentials } = world.Realm;
        const app = openApp(world);
        const email = address();
        await fails(
            app.emailPasswordAuth.registerUser({ email, password: "12345" }),
            { statusCode: 400, error: "password must be between 6 and 128 characters" },
            "a short password",
        );
        await app.emailPasswordAuth.registerUser({ email, password: PASSWORD });
        await fails(
            app.emailPasswordAuth.registerUser({ email, password: PASSWORD }),
            { statusCode: 409, errorCode: "AccountNameInUse", error: "name already in use" },
            "an address that is taken",
        );
        const wrong = { statusCode: 401, errorCode: "InvalidPassword", error: "invalid username/password" };
        await fails(app.logIn(Credentials.emailPassword(email, "wrong horse")), wrong, "a wrong password");
        await fails(app.logIn(Credentials.emailPassword(address(), PASSWORD)), wrong, "an unknown address");
        const user = await app.logIn(Credentials.emailPassword(email, PASSWORD));
        equal(user.profile.email, email, "the profile has the address");
        equal(user.providerType, "local-userpass", "provider");
        const again = await openApp(world).logIn(Credentials.emailPassword(email, PASSWORD));
        equal(again.id, user.id, "the same user from another browser");
    },

    async "confirmation by function"(world) {
        const { Credentials } = world.Realm;
        const app = openApp(world, { id: CONFIRM_APP });
        const { emailPasswordAuth } = app;
        const good = `good-${address()}`;
        await emailPasswordAuth.registerUser({ email: good, password: PASSWORD });
        await app.logIn(Credentials.emailPassword(good, PASSWORD));
        const bad = `bad-${address()}`;
        await fails(
            emailPasswordAuth.registerUser({ email: bad, password: PASSWORD }),
            { statusCode: 400, error: `failed to confirm user "${bad}"` },
            "a confirmation function that says no",
        );
        const pending = `pending-${address()}`;
        await emailPasswordAuth.registerUser({ email: pending, password: PASSWORD });
        await fails(
            app.logIn(Credentials.emailPassword(pending, PASSWORD)),
            { statusCode: 401, errorCode: "AuthError", error: "confirmation required" },
            "a user who is not confirmed",
        );
        await emailPasswordAuth.retryCustomConfirmation({ email: pending });
        await fails(
            emailPasswordAuth.confirmUser({ token: "00", tokenId: "00" }),
            { statusCode: 400 },
            "tokens that are none",
        );
    },

    async "reset by function"(world) {
        const { Credentials } = world.Realm;
        const { app, user, email } = await newUser(world);
        await fails(
            app.emailPasswordAuth.callResetPasswordFunction({ email, password: "another horse" }, "forty-three"),
            { statusCode: 400, error: `failed to reset password for user "${email}"` },
            "a reset function that says no",
        );
        await app.emailPasswordAuth.callResetPasswordFunction({ email, password: "another horse" }, "forty-two");
        await fails(app.logIn(Credentials.emailPassword(email, PASSWORD)), { statusCode: 401 }, "the old password");
        const again = await app.logIn(Credentials.emailPassword(email, "another horse"));
        equal(again.id, user.id, "the same user");
        await fails(
            app.emailPasswordAuth.sendResetPasswordEmail({ email }),
            { statusCode: 400, error: "please use reset password via function" },
            "reset by mail where a function resets",
        );
    },

    async "API keys"(world) {
        const { Credentials } = world.Realm;
        const { user } = await newUser(world);
        const name = unique("key");
        const created = await user.apiKeys.create(name);
        equal([created.name, created.disabled, typeof created.key], [name, false, "string"], "a new key");
        await fails(
            user.apiKeys.create(name),
            { errorCode: "APIKeyAlreadyExists" },
            "a name that is taken",
        );
        const listed = await user.apiKeys.fetchAll();
        equal(listed.map((key) => [key.name, key.disabled, "key" in key]), [[name, false, false]], "all keys");
        equal((await user.apiKeys.fetch(created._id)).name, name, "one key");
        const login = () => openApp(world).logIn(Credentials.apiKey(created.key));
        const byKey = await login();
        equal([byKey.id, byKey.providerType], [user.id, "api-key"], "the key is its owner's");
        await user.apiKeys.disable(created._id);
        const refused = { statusCode: 401, error: "invalid API key" };
        await fails(login(), refused, "a disabled key");
        await user.apiKeys.enable(created._id);
        await login();
        await user.apiKeys.delete(created._id);
        await fails(login(), refused, "a deleted key");
        await fails(user.apiKeys.fetch(created._id), { errorCode: "APIKeyNotFound" }, "a key that is gone");
        await fails(openApp(world).logIn(Credentials.apiKey("no key")), refused, "no key at all");
        const anonymous = await openApp(world).logIn(Credentials.anonymous());
        await fails(anonymous.apiKeys.create(name), { statusCode: 403 }, "a key for an anonymous user");
    },

    async "custom tokens"(world) {
        const { Credentials } = world.Realm;
        const claims = { sub: unique("sub"), aud: APP, exp: inAnHour(), profile: { name: "Ada" }, extra: 1 };
        const login = async (change = {}, signing = {}) =>
            openApp(world).logIn(Credentials.jwt(await signedToken({ ...claims, ...change }, signing)));
        const user = await login();
        equal(user.profile.name, "Ada", "metadata");
        equal((await login()).id, user.id, "the same user again");
        const refused = { statusCode: 401 };
        await fails(login({ exp: inAnHour() - 7200 }), refused, "an expired token");
        await fails(login({ aud: "other" }), refused, "another audience");
        await fails(login({ sub: "" }), refused, "no subject");
        await fails(login({ profile: {} }), refused, "a required claim missing");
        await fails(login({}, { key: "another key of thirty-two letters!" }), refused, "another key");
        await fails(login({}, { header: { alg: "none", typ: "JWT" } }), refused, "alg: none");
    },

    async "custom functions"(world) {
        const { Credentials } = world.Realm;
        const name = unique("name");
        const login = (payload) => openApp(world).logIn(Credentials.function(payload));
        const user = await login({ pin: 42, name });
        equal([user.profile.name, user.providerType], [name, "custom-function"], "user");
        equal((await login({ pin: 42, name })).id, user.id, "the same user again");
        const error = await fails(login({ pin: 41, name }), { statusCode: 401, errorCode: "AuthError" }, "a wrong pin");
        check(error.error.includes("wrong pin"), error.error);
    },

    async "providers that are not there"(world) {
        const { Credentials } = world.Realm;
        const app = openApp(world, { id: CONFIRM_APP });
        await fails(
            app.logIn(Credentials.anonymous()),
            { error: "authentication via 'anon-user' is unsupported", errorCode: "InvalidSession" },
            "a provider that the app does not have",
        );
    },

    async functions(world) {
        const { user } = await newUser(world);
        equal(await user.functions.echo(1, "two", [3], { four: null }), [1, "two", [3], { four: null }], "arguments");
        equal(await user.callFunction("echo"), [], "no arguments");
        equal(await user.functions.nulls(), null, "null");
        equal(await user.functions.callsHidden(), "hidden", "a private function called by a function");
        const { user: seen, asSystem } = await user.functions.whoami();
        equal([seen.id, seen.type, asSystem], [user.id, "normal", false], "context.user");
        equal(await user.functions.asSystem(user.id), { asSystem: true, user: user.id, count: 0 }, "as system");
        await fails(
            user.functions.nowhere(),
            { statusCode: 404, errorCode: "FunctionNotFound", error: "function not found: 'nowhere'" },
            "no such function",
        );
        await fails(user.functions.hidden(), { statusCode: 403, errorCode: "NotCallable" }, "a private function");
        await fails(
            user.functions.onlyNamed(),
            { statusCode: 400, errorCode: "FunctionExecutionError", error: 'rule not matched for function "onlyNamed"' },
            "can_evaluate",
        );
        const thrown = await fails(
            user.functions.fails(),
            { statusCode: 400, errorCode: "FunctionExecutionError", error: "Error: boom" },
            "a function that throws",
        );
        check(thrown.link.includes("co_id="), `the link ${thrown.link} leads to the log`);
        const request = await user.functions.request();
        equal([request.service, request.action, request.webhookUrl], ["", "request", undefined], "context.request");
    },

    async "values of every type"({ Realm, settings }) {
        const { user } = await newUser({ Realm, settings });
        const { BSON } = Realm;
        const value = await user.functions.types();
        equal([value.int, value.double, value.nothing, value.list], [5, 1.5, null, [1, "two"]], "plain values");
        equal(value.long.toString(), "9007199254740992", "a Long, as far as the SDK's relaxed reader keeps it");
        equal(value.decimal.toString(), "1.20", "Decimal128");
        check(value.date instanceof Date && value.date.getTime() === 0, "Date");
        equal(value.id.toHexString(), "5d505646cf6d4fe581014ab2", "ObjectId");
        equal(value.binary.toString("hex"), "0aff", "Binary");
        const kinds = await user.functions.kinds({
            id: new BSON.ObjectId("5d505646cf6d4fe581014ab2"),
            date: new Date(1000),
            int: 7,
            text: "text with $ and %",
        });
        equal(
            kinds,
            { id: "5d505646cf6d4fe581014ab2", date: "1970-01-01T00:00:01.000Z", int: "number", text: "text with $ and %" },
            "values arrive as themselves",
        );
    },

    async "documents under rules"(world) {
        const { ObjectId } = world.Realm.BSON;
        const { user: owner } = await newUser(world);
        const { user: other } = await newUser(world);
        const notesOf = (user) => user.mongoClient("mongodb-atlas").db("realm_web").collection("notes");
        const [mine, theirs] = [notesOf(owner), notesOf(other)];

        const _id = new ObjectId();
        const first = { _id, owner: owner.id, title: "first", count: 1, at: new Date(5), tags: ["a", "b"] };
        equal((await mine.insertOne(first)).insertedId.toHexString(), _id.toHexString(), "insertOne");
        const many = [2, 3, 4].map((count) => ({ owner: owner.id, title: `note ${count}`, count, shared: count === 4 }));
        const { insertedIds } = await mine.insertMany(many);
        equal(insertedIds.map((id) => id instanceof ObjectId), [true, true, true], "insertMany");

        equal(await mine.findOne({ _id }), first, "findOne gives the very document");
        const projected = await mine.find(
            { count: { $gt: 1 } },
            { projection: { _id: 0, title: 1 }, sort: { count: -1 }, limit: 2 },
        );
        equal(projected, [{ title: "note 4" }, { title: "note 3" }], "find with projection, sort and limit");
        equal(await mine.count({}), 4, "count");
        const sums = await mine.aggregate([{ $group: { _id: null, sum: { $sum: "$count" } } }]);
        equal(sums, [{ _id: null, sum: 10 }], "aggregate");

        // The other user sees the shared note and nothing else.
        equal((await theirs.find({ owner: owner.id })).map((note) => note.title), ["note 4"], "what is shared");
        equal(await theirs.findOne({ _id }), null, "what is not");
        equal(await theirs.count({ owner: owner.id }), 1, "nor is it counted");
        await fails(
            theirs.insertOne({ owner: owner.id, title: "forged" }),
            { statusCode: 403, errorCode: "NoMatchingRuleFound" },
            "a note in another's name",
        );
        await fails(theirs.updateOne({ count: 4, owner: owner.id }, { $set: { title: "x" } }), { statusCode: 403 }, "a shared note");
        equal((await theirs.updateMany({ _id }, { $set: { title: "x" } })).matchedCount, 0, "a withheld note");
        equal((await theirs.deleteMany({ _id })).deletedCount, 0, "deleting a withheld note");

        equal(
            await mine.updateOne({ _id }, { $set: { title: "changed" }, $inc: { count: 10 } }),
            { matchedCount: 1, modifiedCount: 1 },
            "updateOne",
        );
        const updated = await mine.updateMany({ count: { $lt: 10 } }, { $set: { seen: true } });
        equal([updated.matchedCount, updated.modifiedCount], [3, 3], "updateMany");
        const upserted = await mine.updateOne({ owner: owner.id, title: "new" }, { $set: { count: 0 } }, { upsert: true });
        check(upserted.upsertedId instanceof ObjectId, "upsert");
        const after = await mine.findOneAndUpdate({ _id }, { $set: { title: "again" } }, { returnNewDocument: true });
        equal(after.title, "again", "findOneAndUpdate");
        const before = await mine.findOneAndReplace({ _id }, { owner: owner.id, title: "replaced" });
        equal([before.title, (await mine.findOne({ _id })).title], ["again", "replaced"], "findOneAndReplace");
        equal((await mine.deleteOne({ _id })).deletedCount, 1, "deleteOne");
        equal((await mine.deleteMany({ owner: owner.id })).deletedCount, 4, "deleteMany");

        const closed = owner.mongoClient("mongodb-atlas").db("realm_web").collection("closed");
        await fails(
            closed.find({}),
            { statusCode: 403, errorCode: "NoMatchingRuleFound", error: "no rule exists for namespace 'realm_web.closed'" },
            "a collection without rules",
        );
        await fails(
            owner.mongoClient("nowhere").db("d").collection("c").find({}),
            { statusCode: 404, errorCode: "ServiceNotFound", error: "service not found: 'nowhere'" },
            "a service that is not there",
        );
        await fails(
            mine.find({ $where: "true" }),
            { statusCode: 400, errorCode: "BadRequest" },
            "an operator that is not for users",
        );
    },

    async "custom user data"(world) {
        const { user } = await newUser(world);
        equal(user.customData, {}, "none at first");
        const people = user.mongoClient("mongodb-atlas").db("realm_web").collection("people");
        await people.insertOne({ user_id: user.id, team: "red" });
        equal(user.customData, {}, "the token does not change");
        equal((await user.refreshCustomData()).team, "red", "the next token has it");
        equal((await user.functions.whoami()).user.custom_data.team, "red", "and so has context.user");
    },

    async "access tokens expire and are refreshed"(world) {
        const { app, user } = await newUser(world, { baseUrl: world.settings.shortLived });
        const first = user.accessToken;
        const { exp, iat, sub } = claimsOf(first);
        equal([exp - iat, sub], [1, user.id], "claims");
        await wait(2100);
        equal(await user.functions.echo("late"), ["late"], "the SDK refreshes once and repeats the call");
        check(user.accessToken !== first, "there is a new access token");
        await wait(2100);
        const expired = await fetch(`${world.settings.shortLived}/api/client/v2.0/auth/profile`, {
            headers: { Authorization: `Bearer ${first}` },
        });
        const body = await expired.json();
        equal([expired.status, body.error_code, body.error], [401, "InvalidSession", "invalid session"], "expired");
        await app.currentUser.refreshProfile();
    },

    async "logging out"(world) {
        const { app, user } = await newUser(world);
        const { accessToken, refreshToken } = user;
        await user.logOut();
        equal([user.isLoggedIn, app.currentUser, user.refreshToken], [false, null, null], "the SDK's state");
        const ask = async (method, path, token) => {
            const url = `${world.settings.server}/api/client/v2.0/auth/${path}`;
            const answer = await fetch(url, { method, headers: { Authorization: `Bearer ${token}` } });
            return [answer.status, answer.status === 204 ? "" : await answer.text()];
        };
        const [status, text] = await ask("POST", "session", refreshToken);
        equal([status, JSON.parse(text).error_code], [401, "InvalidSession"], "the refresh token is dead");
        const [again, reason] = await ask("DELETE", "session", refreshToken);
        check(again === 401 && reason.includes("failed to find refresh token"), `logging out twice: ${reason}`);
        equal((await ask("GET", "profile", accessToken))[0], 200, "the access token lives until it expires");
        equal((await ask("POST", "session", accessToken))[0], 401, "an access token is no refresh token");
        equal((await ask("GET", "profile", refreshToken))[0], 401, "a refresh token is no access token");
    },

    async linking(world) {
        const { Credentials } = world.Realm;
        const app = openApp(world);
        const user = await app.logIn(Credentials.anonymous());
        const email = address();
        await app.emailPasswordAuth.registerUser({ email, password: PASSWORD });
        await user.linkCredentials(Credentials.emailPassword(email, PASSWORD));
        equal(user.identities.map((identity) => identity.providerType), ["anon-user", "local-userpass"], "identities");
        const again = await openApp(world).logIn(Credentials.emailPassword(email, PASSWORD));
        equal(again.id, user.id, "the account is the same user's");
        const stranger = await openApp(world).logIn(Credentials.anonymous());
        await fails(
            stranger.linkCredentials(Credentials.emailPassword(email, PASSWORD)),
            { statusCode: 409 },
            "an identity of another user",
        );
    },

    async "deleting a user"(world) {
        const { Credentials } = world.Realm;
        const { app, user, email } = await newUser(world);
        const { accessToken } = user;
        await app.deleteUser(user);
        equal(app.currentUser, null, "nobody is logged in");
        await fails(app.logIn(Credentials.emailPassword(email, PASSWORD)), { statusCode: 401 }, "the account is gone");
        const answer = await fetch(`${world.settings.server}/api/client/v2.0/auth/profile`, {
            headers: { Authorization: `Bearer ${accessToken}` },
        });
        equal(answer.status, 401, "so is its token");
    },

    async "two users at once"(world) {
        const app = openApp(world);
        const { Credentials } = world.Realm;
        const emails = [address(), address()];
        for (const email of emails) await app.emailPasswordAuth.registerUser({ email, password: PASSWORD });
        const [one, two] = [
            await app.logIn(Credentials.emailPassword(emails[0], PASSWORD)),
            await app.logIn(Credentials.emailPassword(emails[1], PASSWORD)),
        ];
        const seen = await Promise.all([one, two, one, two].map((user) => user.functions.whoami()));
        equal(seen.map((answer) => answer.user.id), [one.id, two.id, one.id, two.id], "each call has its own user");
        app.switchUser(one);
        await app.removeUser(one);
        equal(app.currentUser.id, two.id, "the other one stays");
    },
};
