//! The list of what is in a folder, as a page of HTML. Names are escaped wherever they stand.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;

use kirsch_http::HttpDate;
use rustix::fs::{Dir, FileType, fstat};

use crate::options::Dotfiles;
use crate::path::encode_segment;
use crate::resource::os_path;
use crate::root::{Purpose, Root};

/// So many entries are listed: each costs a look, and a page of more is read by nobody.
const MOST_ENTRIES: usize = 10_000;

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;margin:2em auto;max-width:60em;padding:0 1em}\
table{border-collapse:collapse;width:100%}td{padding:.15em .5em}td+td{text-align:right;white-space:nowrap}\
tr:hover{background:#8882}a{text-decoration:none}";

/// One line of the list.
#[derive(Debug, PartialEq, Eq)]
struct Line {
    name: Vec<u8>,
    kind: Kind,
}

#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Folder,
    File { len: u64, modified: HttpDate },
}

/// Makes the page for the folder at `path`. It lists what can be had, so no link that leads out of the root.
pub(crate) fn listing(root: &Root, path: &[u8], dotfiles: Dotfiles) -> io::Result<String> {
    let folder = root.open_below(os_path(path), Purpose::Read)?;
    let mut lines = Vec::new();
    let mut is_cut = false;
    for entry in Dir::new(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        let is_hidden = name.starts_with(b".") && dotfiles == Dotfiles::Hidden;
        if is_hidden || name == b"." || name == b".." {
            continue;
        }
        if lines.len() == MOST_ENTRIES {
            is_cut = true;
            break;
        }
        if let Some(kind) = look(root, &[path, name].concat()) {
            lines.push(Line {
                name: name.to_vec(),
                kind,
            });
        }
    }
    lines.sort_by(|one, other| {
        let files = |line: &Line| line.kind != Kind::Folder;
        (files(one), &one.name).cmp(&(files(other), &other.name))
    });
    Ok(page(path, &lines, is_cut))
}

fn look(root: &Root, path: &[u8]) -> Option<Kind> {
    let found = fstat(root.open_below(os_path(path), Purpose::Look).ok()?).ok()?;
    match FileType::from_raw_mode(found.st_mode) {
        FileType::Directory => Some(Kind::Folder),
        FileType::RegularFile => Some(Kind::File {
            len: u64::try_from(found.st_size).unwrap_or(0),
            modified: HttpDate::from_seconds(u64::try_from(found.st_mtime).unwrap_or(0)),
        }),
        _ => None,
    }
}

fn page(path: &[u8], lines: &[Line], is_cut: bool) -> String {
    let title = escaped(path);
    let mut page = format!(
        "<!doctype html>\n<html>\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>/{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>/{title}</h1>\n<table>\n"
    );
    if !path.is_empty() {
        page.push_str("<tr><td><a href=\"../\">../</a></td><td></td><td></td></tr>\n");
    }
    for line in lines {
        // In front of it, a colon in the name makes no scheme.
        let mut link = String::from("./");
        encode_segment(&line.name, &mut link);
        let name = escaped(&line.name);
        page.push_str(&match &line.kind {
            Kind::Folder => {
                format!("<tr><td><a href=\"{link}/\">{name}/</a></td><td></td><td></td></tr>\n")
            }
            Kind::File { len, modified } => format!(
                "<tr><td><a href=\"{link}\">{name}</a></td><td>{}</td><td>{}</td></tr>\n",
                size(*len),
                modified.to_text()
            ),
        });
    }
    page.push_str("</table>\n");
    if is_cut {
        page.push_str(&format!(
            "<p>There are more than {MOST_ENTRIES} entries; the rest is left out.</p>\n"
        ));
    }
    page.push_str("</body>\n</html>\n");
    page
}

/// A name as text of HTML. What is no UTF-8 is shown as the replacement character.
fn escaped(name: &[u8]) -> String {
    let mut text = String::with_capacity(name.len());
    for character in OsStr::from_bytes(name).to_string_lossy().chars() {
        match character {
            '&' => text.push_str("&amp;"),
            '<' => text.push_str("&lt;"),
            '>' => text.push_str("&gt;"),
            '"' => text.push_str("&quot;"),
            '\'' => text.push_str("&#39;"),
            control if control.is_control() => text.push('\u{fffd}'),
            other => text.push(other),
        }
    }
    text
}

/// A length for people.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = UNITS[0];
    for larger in &UNITS[1..] {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = larger;
    }
    format!("{value:.1} {unit}")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::time::Duration;

    use super::*;
    use crate::options::Symlinks;

    #[test]
    fn what_can_be_had_is_listed_and_no_name_is_markup() {
        let top = tempfile::tempdir().expect("a folder");
        let folder = top.path().join("root");
        fs::create_dir(&folder).expect("a folder");
        fs::write(top.path().join("secret"), "").expect("a file");
        for name in ["b.txt", "<script>\"&'", "a:b", ".hidden", "with space"] {
            fs::write(folder.join(name), vec![b'x'; 1536]).expect("a file");
        }
        fs::create_dir(folder.join("z-folder")).expect("a folder");
        symlink("../secret", folder.join("out")).expect("a link");
        symlink("b.txt", folder.join("in")).expect("a link");
        let root = Root::open(&folder, Symlinks::WithinRoot, Duration::ZERO).expect("a root");
        let page = listing(&root, b"", Dotfiles::Hidden).expect("a page");
        let names: Vec<&str> = page
            .lines()
            .filter_map(|line| line.strip_prefix("<tr><td><a href=\"")?.split_once("</a>"))
            .map(|(link, _)| link)
            .collect();
        assert_eq!(
            names,
            [
                "./z-folder/\">z-folder/",
                "./%3Cscript%3E%22%26%27\">&lt;script&gt;&quot;&amp;&#39;",
                "./a%3Ab\">a:b",
                "./b.txt\">b.txt",
                "./in\">in",
                "./with%20space\">with space",
            ]
        );
        assert!(page.contains("<td>1.5 KiB</td>"));
        let inner = listing(&root, b"z-folder/", Dotfiles::Hidden).expect("a page");
        assert!(inner.contains("<h1>/z-folder/</h1>") && inner.contains("href=\"../\""));
    }

    #[test]
    fn lengths_are_for_people() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (10 * 1024 * 1024, "10.0 MiB"),
            (u64::MAX, "16384.0 PiB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }
}
