//! Documents that are made of the code: writing them, and finding those that are stale.

use std::fs;
use std::path::Path;

use crate::{compared, http_details};

/// A document's path in the project, and what makes its text.
type Document = (&'static str, fn() -> String);

const DOCUMENTS: [Document; 3] = [
    ("docs/reference/settings.md", kirsch_config::settings_page),
    ("docs/concepts/http-details.md", http_details::page),
    ("docs/reference/compared.md", compared::page),
];

/// Writes every document.
pub fn write(root: &Path) -> Result<String, String> {
    for (name, make) in DOCUMENTS {
        let path = root.join(name);
        let folder = path.parent().unwrap_or(root);
        fs::create_dir_all(folder).map_err(|err| format!("{}: {err}", folder.display()))?;
        fs::write(&path, make()).map_err(|err| format!("{name}: {err}"))?;
    }
    Ok(format!(
        "{} written",
        DOCUMENTS.map(|(name, _)| name).join(", ")
    ))
}

/// Compares every document with what would be written.
pub fn check(root: &Path) -> Result<String, String> {
    for (name, make) in DOCUMENTS {
        let stands = fs::read_to_string(root.join(name)).map_err(|err| format!("{name}: {err}"))?;
        if stands != make() {
            return Err(format!(
                "{name} is stale; write it with: cargo run -p xtask -- docs"
            ));
        }
    }
    Ok("generated documents are up to date".to_owned())
}
