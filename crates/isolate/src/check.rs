//! Compiling without running, for `selvedge check`.

use std::sync::OnceLock;
use std::sync::mpsc;

use deno_core::v8;
use parking_lot::Mutex;

use crate::{SourceError, crash, source, stack};

struct Request {
    file: String,
    text: String,
    reply: mpsc::SyncSender<Result<(), SourceError>>,
}

/// Compiles a function source exactly as a run would, without running any of it. [`crate::init_platform`] must have
/// run. `file` is shown in the error.
pub fn check_source(file: &str, source: &str) -> Result<(), SourceError> {
    let failed = |message: &str| SourceError { file: file.to_owned(), line: 1, column: 1, message: message.to_owned() };
    let (reply, result) = mpsc::sync_channel(1);
    let request = Request { file: file.to_owned(), text: source.to_owned(), reply };
    compiler().lock().send(request).map_err(|_| failed("the compiler's thread has ended"))?;
    result.recv().map_err(|_| failed("the compiler did not answer"))?
}

/// The thread that compiles: an isolate belongs to one thread, callers come from many.
fn compiler() -> &'static Mutex<mpsc::Sender<Request>> {
    static COMPILER: OnceLock<Mutex<mpsc::Sender<Request>>> = OnceLock::new();
    COMPILER.get_or_init(|| {
        let (sender, requests) = mpsc::channel::<Request>();
        // When the thread cannot start, the channel is closed and callers get an error.
        let _ =
            std::thread::Builder::new().name("check".to_owned()).stack_size(8 << 20).spawn(move || serve(&requests));
        Mutex::new(sender)
    })
}

fn serve(requests: &mpsc::Receiver<Request>) {
    crate::init_platform();
    let mut isolate = v8::Isolate::new(v8::CreateParams::default());
    stack::install_callbacks(&mut isolate);
    crash::guard_isolate(&mut isolate);
    for Request { file, text, reply } in requests {
        v8::scope!(let scope, &mut isolate);
        let context = v8::Context::new(scope, v8::ContextOptions::default());
        let scope = &mut v8::ContextScope::new(scope, context);
        // The caller waits for it.
        let _ = reply.send(source::check_only(scope, &file, &text));
    }
}
