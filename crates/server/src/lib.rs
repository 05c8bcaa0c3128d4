//! The selvedge binary: sockets, HTTP wire, process life, settings, command line.
