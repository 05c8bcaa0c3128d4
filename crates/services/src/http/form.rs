//! Bodies made from `form` (function-environment 5.2).

use bytes::Bytes;

/// `application/x-www-form-urlencoded`.
pub(super) fn url_encoded(fields: &[(String, String)]) -> Bytes {
    let mut serializer = url::form_urlencoded::Serializer::new(String::new());
    serializer.extend_pairs(fields);
    serializer.finish().into()
}

/// `multipart/form-data`, with its content type.
pub(super) fn multipart(fields: &[(String, String)]) -> (String, Bytes) {
    let boundary = boundary(fields);
    let mut body = String::new();
    for (name, value) in fields {
        let name = name.replace('\r', "%0D").replace('\n', "%0A").replace('"', "%22");
        body.push_str(&format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"));
    }
    body.push_str(&format!("--{boundary}--\r\n"));
    (format!("multipart/form-data; boundary={boundary}"), body.into())
}

/// Text that occurs in no field.
fn boundary(fields: &[(String, String)]) -> String {
    loop {
        let boundary = format!("selvedge{}", super::digest::random_hex());
        if !fields.iter().any(|(name, value)| name.contains(&boundary) || value.contains(&boundary)) {
            return boundary;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields() -> Vec<(String, String)> {
        vec![("a".into(), "1 2".into()), ("b\"".into(), "\u{fc}&".into())]
    }

    #[test]
    fn url_encoded_form() {
        assert_eq!(url_encoded(&fields()), "a=1+2&b%22=%C3%BC%26");
    }

    #[test]
    fn multipart_form() {
        let (content_type, body) = multipart(&fields());
        let boundary = content_type.strip_prefix("multipart/form-data; boundary=").expect("a boundary");
        let expected = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1 2\r\n\
             --{boundary}\r\nContent-Disposition: form-data; name=\"b%22\"\r\n\r\n\u{fc}&\r\n--{boundary}--\r\n"
        );
        assert_eq!(body, expected);
    }
}
