//! Policies: their cases, and what hostile ones come to.
