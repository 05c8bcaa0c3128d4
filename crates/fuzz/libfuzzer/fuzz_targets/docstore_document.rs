#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::docstore_document(data));
