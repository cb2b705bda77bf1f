//! What hostile guests try with files, environment and handles, and that it stays inside.
