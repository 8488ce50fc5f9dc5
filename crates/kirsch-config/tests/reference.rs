//! The reference says what the code does.

use kirsch_config::{KeywordValue, Settings, options, settings_page};
use kirsch_server::Config;

const PAGE: &str = include_str!("../../../docs/reference/settings.md");

#[test]
fn the_page_is_not_stale() {
    assert!(
        PAGE == settings_page(),
        "docs/reference/settings.md is stale; write it with: cargo run -p xtask -- docs"
    );
}

#[test]
fn every_option_has_its_section_once() {
    for option in options() {
        assert_eq!(
            PAGE.matches(&format!("\n### `{}`\n", option.name)).count(),
            1,
            "{}",
            option.name
        );
    }
}

#[test]
fn the_defaults_on_the_page_read_back_as_the_default_configuration() {
    let mut given = Vec::new();
    for option in options() {
        let Some(keyword) = option.keyword() else {
            continue;
        };
        let default = default_on_page(option.name);
        // Not a value, but that there is none.
        if let Some(value) = default
            .strip_prefix('`')
            .and_then(|value| value.strip_suffix('`'))
        {
            // Naming a file for the access log turns it on, so that what is turned off says more.
            if option.name != "access-log-file" {
                given.push((keyword, KeywordValue::Str(value.to_owned())));
            }
        }
    }
    assert!(given.len() > 25, "{given:?}");
    let settings = Settings::from_keywords(given).expect("defaults are accepted");
    assert_eq!(settings.config, Config::default());
    assert_eq!(settings.log_level, Settings::default().log_level);
}

fn default_on_page(name: &str) -> &'static str {
    let section = PAGE
        .split("\n### ")
        .find(|section| section.starts_with(&format!("`{name}`\n")));
    let row = section.and_then(|section| {
        section
            .lines()
            .find_map(|line| line.strip_prefix("| Default | "))
    });
    row.and_then(|row| row.strip_suffix(" |"))
        .unwrap_or_else(|| panic!("{name} has no default on the page"))
}
