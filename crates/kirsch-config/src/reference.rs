//! The reference of all settings, made of the list of options.

/// The text of `docs/reference/settings.md`.
pub fn settings_page() -> String {
    String::new()
}
