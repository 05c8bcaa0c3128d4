//! What authentication reaches outside: the keys of token issuers, and OAuth providers.

use std::time::Duration;

use auth::{FetchAnswer, FetchHttp, FetchRequest, OutsideFuture};
use bytes::Bytes;
use http::{Method, header};
use services::http::HttpClient;

/// Fetches with the policy that holds for functions: nobody's configuration leads into the operator's network.
pub(crate) struct PolicedFetch(pub HttpClient);

impl FetchHttp for PolicedFetch {
    fn fetch(&self, request: FetchRequest) -> OutsideFuture<'_, Result<FetchAnswer, String>> {
        Box::pin(async move {
            let mut outgoing = http::Request::builder().uri(&request.url);
            if let Some(authorization) = &request.authorization {
                outgoing = outgoing.header(header::AUTHORIZATION, authorization);
            }
            let body = match &request.form {
                None => Bytes::new(),
                Some(fields) => {
                    outgoing =
                        outgoing.method(Method::POST).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
                    let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
                    form.into()
                }
            };
            let outgoing = outgoing.body(body).map_err(|error| error.to_string())?;
            let answer = self.0.fetch(outgoing).await.map_err(|error| error.to_string())?;
            Ok(FetchAnswer {
                status: answer.status().as_u16(),
                max_age: answer.headers().get(header::CACHE_CONTROL).and_then(|value| max_age(value.to_str().ok()?)),
                body: answer.body().to_vec(),
            })
        })
    }
}

/// `max-age` of a `Cache-Control`.
fn max_age(text: &str) -> Option<Duration> {
    let seconds = text.split(',').find_map(|directive| directive.trim().strip_prefix("max-age="))?;
    seconds.trim().parse().ok().map(Duration::from_secs)
}
