//! Every bad input gets one clear message, its exit code, and loses nothing.
