//! The one way in which rules and authentication have a user function run.

use std::future::Future;
use std::pin::Pin;

use bson::Bson;

/// Runs app functions; implemented where V8 is known.
pub trait CallFunction: Send + Sync {
    /// Calls a function as the request's user, under the function's own settings, and awaits its result
    /// (rules-and-users 1.6).
    fn call_function<'a>(
        &'a self,
        call: FunctionCall,
    ) -> Pin<Box<dyn Future<Output = Result<Bson, FunctionFailure>> + Send + 'a>>;
}

/// One call of a user function.
#[derive(Debug, Clone, PartialEq)]
pub struct FunctionCall {
    /// Name of the app function.
    pub name: String,
    /// A missing argument is `Undefined`.
    pub arguments: Vec<Bson>,
    /// How many rules and functions are being evaluated around each other; 1 for the first. Whatever the function
    /// evaluates itself counts from here.
    pub depth: usize,
}

/// The function did not return: it threw, ran out of time, does not exist or may not be called. The host logs why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionFailure {
    /// Message of what it threw.
    pub message: String,
}
