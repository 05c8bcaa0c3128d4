//! URL parsing for the prelude: the WHATWG URL standard as the `url` crate has it.

use deno_core::v8;
use url::form_urlencoded;
use url::{Url, quirks};

use super::encoding::reserve_text;
use super::{Native, natives, string_argument, text, throw_type_error};

/// The functions of this area.
pub(crate) fn natives() -> Vec<Native> {
    natives! {
        "urlParse" => url_parse,
        "urlSet" => url_set,
        "searchParamsParse" => search_params_parse,
        "searchParamsSerialize" => search_params_serialize,
    }
}

/// `urlParse(input, base | undefined)`: the parts of the URL in the order of [`return_parts`], `undefined` when either
/// text is not a URL.
fn url_parse<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    arguments: v8::FunctionCallbackArguments<'s>,
    mut result: v8::ReturnValue<'s, v8::Value>,
) {
    let Some(input) = string_argument(scope, &arguments, 0) else { return };
    let parsed = if arguments.get(1).is_undefined() {
        Url::parse(&input)
    } else {
        let Some(base) = string_argument(scope, &arguments, 1) else { return };
        Url::parse(&base).and_then(|base| base.join(&input))
    };
    if let Ok(url) = parsed {
        return_parts(scope, &mut result, &url);
    }
}

/// `urlSet(href, part, value)`: the parts after one setter of the standard, `undefined` when it changes nothing.
fn url_set<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    arguments: v8::FunctionCallbackArguments<'s>,
    mut result: v8::ReturnValue<'s, v8::Value>,
) {
    let Some(href) = string_argument(scope, &arguments, 0) else { return };
    let Some(part) = string_argument(scope, &arguments, 1) else { return };
    let Some(value) = string_argument(scope, &arguments, 2) else { return };
    let Ok(mut url) = Url::parse(&href) else { return };
    let changed = match part.as_str() {
        "protocol" => quirks::set_protocol(&mut url, &value).is_ok(),
        "username" => quirks::set_username(&mut url, &value).is_ok(),
        "password" => quirks::set_password(&mut url, &value).is_ok(),
        "host" => quirks::set_host(&mut url, &value).is_ok(),
        "hostname" => quirks::set_hostname(&mut url, &value).is_ok(),
        "port" => quirks::set_port(&mut url, &value).is_ok(),
        "pathname" => {
            quirks::set_pathname(&mut url, &value);
            true
        }
        "search" => {
            quirks::set_search(&mut url, &value);
            true
        }
        "hash" => {
            quirks::set_hash(&mut url, &value);
            true
        }
        _ => return throw_type_error(scope, "argument 2 must name a part of a URL"),
    };
    if changed {
        return_parts(scope, &mut result, &url);
    }
}

/// Order: href, origin, protocol, username, password, host, hostname, port, pathname, search, hash.
fn return_parts<'s>(scope: &mut v8::PinScope<'s, '_>, result: &mut v8::ReturnValue<'s, v8::Value>, url: &Url) {
    // Nothing is longer than the whole, and the whole is there twice at most.
    if !reserve_text(scope, url.as_str().len().saturating_mul(3), 1) {
        return;
    }
    let origin = quirks::origin(url);
    let parts = [
        quirks::href(url),
        &origin,
        quirks::protocol(url),
        quirks::username(url),
        quirks::password(url),
        quirks::host(url),
        quirks::hostname(url),
        quirks::port(url),
        quirks::pathname(url),
        quirks::search(url),
        quirks::hash(url),
    ]
    .map(|part| text(scope, part).into());
    result.set(v8::Array::new_with_elements(scope, &parts).into());
}

/// `searchParamsParse(query)`: names and values in turn.
fn search_params_parse<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    arguments: v8::FunctionCallbackArguments<'s>,
    mut result: v8::ReturnValue<'s, v8::Value>,
) {
    let Some(query) = string_argument(scope, &arguments, 0) else { return };
    // Two strings and their places in the array for each pair.
    let pairs = query.bytes().filter(|byte| *byte == b'&').count() + 1;
    if !reserve_text(scope, query.len(), 2) || !reserve_text(scope, pairs, 96) {
        return;
    }
    let mut items = Vec::with_capacity(pairs * 2);
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        items.push(text(scope, &name).into());
        items.push(text(scope, &value).into());
    }
    result.set(v8::Array::new_with_elements(scope, &items).into());
}

/// `searchParamsSerialize(items)`: names and values in turn as `application/x-www-form-urlencoded` text.
fn search_params_serialize<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    arguments: v8::FunctionCallbackArguments<'s>,
    mut result: v8::ReturnValue<'s, v8::Value>,
) {
    let Ok(items) = v8::Local::<v8::Array>::try_from(arguments.get(0)) else {
        return throw_type_error(scope, "argument 1 must be an array");
    };
    let mut serializer = form_urlencoded::Serializer::new(String::new());
    let mut index = 0;
    while index + 1 < items.length() {
        let mut pair = [String::new(), String::new()];
        for (offset, part) in pair.iter_mut().enumerate() {
            match items.get_index(scope, index + offset as u32).map(v8::Local::<v8::String>::try_from) {
                Some(Ok(item)) => *part = item.to_rust_string_lossy(scope),
                _ => return throw_type_error(scope, "argument 1 must hold strings"),
            }
        }
        serializer.append_pair(&pair[0], &pair[1]);
        index += 2;
    }
    let query = serializer.finish();
    if reserve_text(scope, query.len(), 1) {
        result.set(text(scope, &query).into());
    }
}
