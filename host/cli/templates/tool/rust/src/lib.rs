//! Counts the lines of a file.
//!
//! It sees what it was granted and nothing else: the folders of `--dir`, the variables of `--env`.

wit_bindgen::generate!({ path: "wit" });

struct Tool;

export!(Tool);

impl exports::local::tool::functions::Guest for Tool {
    fn count(path: String) -> Result<u64, String> {
        let text = std::fs::read_to_string(&path).map_err(|error| format!("`{path}`: {error}"))?;
        Ok(text.lines().count() as u64)
    }
}
