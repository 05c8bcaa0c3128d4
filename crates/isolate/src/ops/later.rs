//! Properties whose value a prelude script makes when somebody first looks (js/01_later.js).
//!
//! To scripts they are ordinary data properties: writable, configurable, not enumerable.

use std::ffi::c_void;

use deno_core::v8::{self, MapFnTo};

use super::{Native, natives, throw_type_error};
use crate::realm;

/// The functions of this area.
pub(crate) fn natives() -> Vec<Native> {
    natives! { "defineLater" => define_later }
}

/// The getter's address, for the snapshot.
pub(crate) fn external_reference() -> v8::ExternalReference {
    let getter: v8::AccessorNameGetterCallback = value_of.map_fn_to();
    v8::ExternalReference { pointer: getter as *mut c_void }
}

/// `defineLater(object, name)`: the property's value will be what the entry `laterValue` gives for its name.
fn define_later(scope: &mut v8::PinScope, arguments: v8::FunctionCallbackArguments, _result: v8::ReturnValue) {
    let (Ok(object), Ok(name)) =
        (v8::Local::<v8::Object>::try_from(arguments.get(0)), v8::Local::<v8::Name>::try_from(arguments.get(1)))
    else {
        return throw_type_error(scope, "defineLater: an object and a name");
    };
    // The name is the data as well: V8 keeps such properties' descriptions for all contexts, so they must not hold
    // anything of this one.
    object.set_lazy_data_property_with_data(
        scope,
        name,
        value_of,
        name.into(),
        v8::PropertyAttribute::DONT_ENUM,
        v8::SideEffectType::HasSideEffect,
        v8::SideEffectType::HasSideEffect,
    );
}

/// Called by V8 at the first look; V8 then puts the value in the property's place. Throws what the loading threw.
fn value_of(
    scope: &mut v8::PinScope,
    name: v8::Local<v8::Name>,
    _arguments: v8::PropertyCallbackArguments,
    mut result: v8::ReturnValue<v8::Value>,
) {
    if let Some(value) = realm::later_value(scope, name.into()) {
        result.set(value);
    }
}
