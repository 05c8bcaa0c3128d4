//! Reference servers in a process of their own: hyper answering at once, and hyper with one hop to another thread.

use std::convert::Infallible;

use anyhow::{Result, bail};
use bytes::Bytes;
use http_body_util::Full;
use hyper::Response;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::sync::{mpsc, oneshot};

const HELLO: &[u8] = br#"{"hello":"world"}"#;

/// Serves on a free loopback port, which is printed, until killed.
pub fn serve(kind: &str) -> Result<()> {
    let hop = match kind {
        "raw" => None,
        "hop" => Some(answering_thread()),
        other => bail!("unknown reference {other}"),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async move {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        println!("listening on http://{}", listener.local_addr()?);
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let hop = hop.clone();
            tokio::spawn(async move {
                let service = service_fn(move |_| {
                    let hop = hop.clone();
                    async move {
                        let body = match hop {
                            None => Bytes::from_static(HELLO),
                            Some(hop) => {
                                let (reply, answer) = oneshot::channel();
                                let _ = hop.send(reply).await;
                                answer.await.unwrap_or_default()
                            }
                        };
                        Ok::<_, Infallible>(
                            Response::builder()
                                .header("content-type", "application/json")
                                .body(Full::new(body))
                                .expect("fixed parts"),
                        )
                    }
                });
                let _ =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    })
}

fn answering_thread() -> mpsc::Sender<oneshot::Sender<Bytes>> {
    let (sender, mut receiver) = mpsc::channel::<oneshot::Sender<Bytes>>(1024);
    std::thread::spawn(move || {
        while let Some(reply) = receiver.blocking_recv() {
            let _ = reply.send(Bytes::from_static(HELLO));
        }
    });
    sender
}
