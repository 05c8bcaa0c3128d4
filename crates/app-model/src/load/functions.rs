//! App functions: `functions/config.json` with sources at any depth, and `functions/<name>/{config.json, source.js}`
//! (http-surface 1.7).

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde_json::{Map, Value as Json};

use super::fields::Fields;
use super::files::{Kind, join};
use super::json::element;
use super::problems::quoted;
use super::run_as::{self, Owner};
use super::templates::Failure;
use super::{Config, Loader, json};
use crate::{Function, Layout, RunAs};

const DIRECTORY: &str = "functions";
const MANIFEST: &str = "functions/config.json";

/// All functions: those with an entry in the order of their entries, then the files without one in name order.
pub(super) fn load(loader: &mut Loader, layout: Layout) -> Vec<Function> {
    let mut tree = Tree::default();
    tree.read(loader, DIRECTORY);
    let manifest = loader.read_config(MANIFEST);
    let old_layout = layout == Layout::V1 && matches!(manifest, Config::Absent);

    let mut functions = Functions::default();
    let mut taken = BTreeSet::new();
    functions.read_manifest(loader, manifest, &tree, &mut taken);
    for directory in &tree.directories {
        functions.read_directory(loader, directory, &tree, old_layout, &mut taken);
    }
    for (name, file) in &tree.sources {
        // Beside the source of an older function lie its tests, at most.
        let beside = file.rsplit_once('/').is_some_and(|(directory, _)| functions.old_directories.contains(directory));
        if taken.contains(file) || beside {
            continue;
        }
        if functions.manifest_broken {
            // Defaults instead of the settings that cannot be read might let anybody in.
            functions.add_refused(loader, name, file, PathBuf::from(MANIFEST));
        } else {
            functions.add_unlisted(loader, name, file);
        }
    }
    functions.list
}

/// What lies below `functions/`.
#[derive(Default)]
struct Tree {
    /// Every directory below it.
    directories: Vec<String>,
    /// Function name as the newer layout has it, `a/b` for `functions/a/b.js`, to file.
    sources: BTreeMap<String, String>,
    files: BTreeSet<String>,
}

impl Tree {
    fn read(&mut self, loader: &mut Loader, directory: &str) {
        for entry in loader.list(directory) {
            let path = join(directory, &entry.name);
            match entry.kind {
                Kind::Directory if entry.name == "node_modules" || entry.name.starts_with('.') => {}
                Kind::Directory => {
                    self.directories.push(path.clone());
                    self.read(loader, &path);
                }
                // Editors and file managers leave files such as `._x.js` and `.#x.js`.
                Kind::File if entry.name.starts_with('.') => {}
                Kind::File => {
                    if let Some(name) = path.strip_prefix("functions/").and_then(|path| path.strip_suffix(".js")) {
                        self.sources.insert(name.to_owned(), path.clone());
                    }
                    self.files.insert(path);
                }
            }
        }
    }
}

#[derive(Default)]
struct Functions {
    list: Vec<Function>,
    /// Name to the place that defined it.
    places: BTreeMap<String, String>,
    /// Directories that hold one function of the older layout each.
    old_directories: BTreeSet<String>,
    manifest_broken: bool,
}

impl Functions {
    fn read_manifest(&mut self, loader: &mut Loader, manifest: Config, tree: &Tree, taken: &mut BTreeSet<String>) {
        let (entries, failures) = match manifest {
            Config::Absent => return,
            Config::Broken => {
                self.manifest_broken = true;
                return;
            }
            Config::Read { json: Json::Array(entries), failures } => (entries, failures),
            Config::Read { json: other, .. } => {
                let found = json::type_name(&other);
                loader.problems.error(
                    MANIFEST,
                    "",
                    format!("holds {found} where the list of functions is an array: write an array"),
                );
                self.manifest_broken = true;
                return;
            }
        };
        for (index, entry) in entries.iter().enumerate() {
            let path = element("", index);
            let Json::Object(object) = entry else {
                let found = json::type_name(entry);
                loader.problems.error(
                    MANIFEST,
                    &path,
                    format!("is {found} where a function is an object: write an object"),
                );
                continue;
            };
            let mut fields = Fields { file: MANIFEST, path: path.clone(), subject: String::new(), object };
            let name = match fields.filled_text("name", &mut loader.problems) {
                Ok(Some(name)) => name,
                Ok(None) => {
                    fields.error("name", "is missing: write the function's name", &mut loader.problems);
                    continue;
                }
                Err(_) => continue,
            };
            fields.subject = format!("function {}: ", quoted(name));
            let file = match tree.sources.get(name) {
                Some(file) => file.clone(),
                None => {
                    let file = format!("{DIRECTORY}/{name}.js");
                    fields.warning("name", format!("there is no readable {file}, so calling it fails with FunctionNotFound: add the file or remove the entry"), &mut loader.problems);
                    file
                }
            };
            let place = format!("{MANIFEST} {path}");
            if self.is_defined(loader, &fields, name, &place) {
                continue;
            }
            let known = taken.insert(file.clone()) && tree.files.contains(&file);
            let source = if known { loader.read_source(&file) } else { None };
            let failed = failures.iter().any(|failure| below(&failure.field, &path));
            let mut function = read_settings(loader, &fields, name, &file, source, failed);
            function.config_file = Some(PathBuf::from(MANIFEST));
            function.config_entry = Some(index);
            self.add(function, place);
        }
    }

    /// `functions/<name>/{config.json, source.js}`.
    fn read_directory(
        &mut self,
        loader: &mut Loader,
        directory: &str,
        tree: &Tree,
        old_layout: bool,
        taken: &mut BTreeSet<String>,
    ) {
        let config_file = join(directory, "config.json");
        let source_file = join(directory, "source.js");
        let has_config = tree.files.contains(&config_file);
        let has_source = tree.files.contains(&source_file) && !taken.contains(&source_file);
        // In the newer layout both names are ordinary file names, unless they stand together.
        if !(has_config && has_source || old_layout && (has_config || has_source)) {
            return;
        }
        let folder = directory.strip_prefix("functions/").unwrap_or(directory).to_owned();
        taken.insert(source_file.clone());
        self.old_directories.insert(directory.to_owned());
        if !has_source {
            loader.problems.warning(
                &source_file,
                "",
                "is missing, so calling the function fails with FunctionNotFound: add the file or remove the directory",
            );
        }
        if !has_config {
            return self.add_unlisted(loader, &folder, &source_file);
        }
        let (object, failures): (Map<String, Json>, Vec<Failure>) = match loader.read_object(&config_file, "a function")
        {
            Some(read) => read,
            None => {
                self.add_refused(loader, &folder, &source_file, PathBuf::from(&config_file));
                return;
            }
        };
        let fields = Fields::new(&config_file, &object);
        let name = match fields.filled_text("name", &mut loader.problems) {
            Ok(Some(name)) => name.to_owned(),
            Ok(None) => {
                fields.warning(
                    "name",
                    format!("is missing, the directory's name {} is used: write the function's name", quoted(&folder)),
                    &mut loader.problems,
                );
                folder.clone()
            }
            Err(_) => folder.clone(),
        };
        if name != folder && !folder.ends_with(&format!("/{name}")) {
            fields.warning(
                "name",
                format!(
                    "{} differs from the directory's name {}, and counts: make them equal",
                    quoted(&name),
                    quoted(&folder)
                ),
                &mut loader.problems,
            );
        }
        if self.is_defined(loader, &fields, &name, &config_file) {
            return;
        }
        let source = if has_source { loader.read_source(&source_file) } else { None };
        let mut function = read_settings(loader, &fields, &name, &source_file, source, !failures.is_empty());
        function.config_file = Some(PathBuf::from(&config_file));
        self.add(function, config_file);
    }

    /// A source file without an entry has the defaults.
    fn add_unlisted(&mut self, loader: &mut Loader, name: &str, file: &str) {
        if let Some(first) = self.places.get(name) {
            loader.problems.error(
                file,
                "",
                format!(
                    "the function {} is defined twice, here and in {first}, which counts: remove one of them",
                    quoted(name)
                ),
            );
            return;
        }
        let source = loader.read_source(file);
        self.add(with_defaults(name, file, source), file.to_owned());
    }

    /// A function whose settings cannot be read may not be called.
    fn add_refused(&mut self, loader: &mut Loader, name: &str, file: &str, config_file: PathBuf) {
        if self.places.contains_key(name) {
            return;
        }
        let source = if loader.is_file(file) { loader.read_source(file) } else { None };
        let mut function = with_defaults(name, file, source);
        function.private = true;
        function.can_evaluate = Some(Json::Bool(false));
        function.disable_arg_logs = true;
        function.config_file = Some(config_file);
        self.add(function, file.to_owned());
    }

    fn is_defined(&self, loader: &mut Loader, fields: &Fields<'_>, name: &str, place: &str) -> bool {
        let Some(first) = self.places.get(name) else { return false };
        fields.error(
            "name",
            format!("{} is defined twice, in {place} and in {first}, which counts: remove one of them", quoted(name)),
            &mut loader.problems,
        );
        true
    }

    fn add(&mut self, function: Function, place: String) {
        self.places.insert(function.name.clone(), place);
        self.list.push(function);
    }
}

fn read_settings(
    loader: &mut Loader,
    fields: &Fields<'_>,
    name: &str,
    file: &str,
    source: Option<String>,
    failed: bool,
) -> Function {
    let problems = &mut loader.problems;
    let private = fields.flag("private", problems);
    let can_evaluate = fields.expression("can_evaluate", problems);
    let disable_arg_logs = fields.flag("disable_arg_logs", problems);
    let run_as = run_as::read(fields, Owner::Function, problems);
    // A setting that says who may do what and cannot be read refuses everybody.
    let refused = failed || private.is_err() || can_evaluate.is_err() || run_as.is_err();
    let can_evaluate = if refused { Some(Json::Bool(false)) } else { can_evaluate.ok().flatten() };
    Function {
        private: private.unwrap_or(Some(true)).unwrap_or(false),
        can_evaluate,
        disable_arg_logs: disable_arg_logs.unwrap_or(Some(true)).unwrap_or(false),
        run_as: run_as.unwrap_or(RunAs::Caller),
        ..with_defaults(name, file, source)
    }
}

fn with_defaults(name: &str, file: &str, source: Option<String>) -> Function {
    Function {
        name: name.to_owned(),
        file: PathBuf::from(file),
        config_file: None,
        config_entry: None,
        source,
        private: false,
        can_evaluate: None,
        disable_arg_logs: false,
        run_as: RunAs::Caller,
    }
}

/// Whether a field lies inside the list entry at `path`.
pub(super) fn below(field: &str, path: &str) -> bool {
    field.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}
