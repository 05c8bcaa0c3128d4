//! The scripts of `js/`, embedded by the build script.

use deno_core::v8;

use crate::ops;

include!(concat!(env!("OUT_DIR"), "/prelude.rs"));

/// Resource names of prelude scripts begin with this; stack traces leave such frames out.
pub(crate) const RESOURCE_PREFIX: &str = "selvedge:";

/// Runs every prelude script in the current context. Gives the file and the error text of the first that fails.
pub(crate) fn install(scope: &mut v8::PinScope) -> Result<(), (String, String)> {
    let null = v8::null(scope).into();
    let prelude = v8::Object::with_prototype_and_properties(scope, null, &[], &[]);
    let native = ops::native_object(scope);
    let key = ops::text(scope, "native");
    prelude.create_data_property(scope, key.into(), native.into());
    for (file, text) in SCRIPTS {
        v8::tc_scope!(let scope, scope);
        if run(scope, file, text, prelude).is_none() {
            let message = scope.message().map_or_else(
                || "stopped".to_owned(),
                |message| {
                    let line = message.get_line_number(scope).unwrap_or(0);
                    format!("line {line}: {}", message.get(scope).to_rust_string_lossy(scope))
                },
            );
            return Err(((*file).to_owned(), message));
        }
    }
    Ok(())
}

fn run<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    file: &str,
    text: &'static str,
    prelude: v8::Local<v8::Object>,
) -> Option<v8::Local<'s, v8::Value>> {
    let source = v8::String::new(scope, text)?;
    let name = v8::String::new(scope, &format!("{RESOURCE_PREFIX}{file}"))?;
    let origin = v8::ScriptOrigin::new(scope, name.into(), 0, 0, false, -1, None, false, false, false, None);
    let function = v8::Script::compile(scope, source, Some(&origin))?.run(scope)?;
    let function = v8::Local::<v8::Function>::try_from(function).ok()?;
    let receiver = v8::undefined(scope).into();
    function.call(scope, receiver, &[prelude.into()])
}
