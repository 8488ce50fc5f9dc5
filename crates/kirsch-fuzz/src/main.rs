//! Writes what `cargo fuzz` begins with: `kirsch-fuzz FOLDER` fills `FOLDER/corpus/TARGET/` with the seeds
//! of each target, beside what was found before, and writes its words to `FOLDER/dictionary/TARGET`.

#![forbid(unsafe_code)]

use std::path::Path;
use std::process::ExitCode;
use std::{env, fs, io};

use kirsch_fuzz::{TARGETS, dictionary, seeds};

fn main() -> ExitCode {
    let Some(folder) = env::args_os().nth(1) else {
        eprintln!("usage: kirsch-fuzz FOLDER");
        return ExitCode::from(2);
    };
    match write(Path::new(&folder)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => {
            eprintln!("{}: {err}", folder.display());
            ExitCode::FAILURE
        }
    }
}

fn write(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder.join("dictionary"))?;
    for target in TARGETS {
        let corpus = folder.join("corpus").join(target.name);
        fs::create_dir_all(&corpus)?;
        let seeds = seeds(target.name);
        for (idx, seed) in seeds.iter().enumerate() {
            fs::write(corpus.join(format!("seed-{idx:04}")), seed)?;
        }
        let words: String = dictionary(target.name)
            .iter()
            .map(|word| quoted(word))
            .collect();
        fs::write(folder.join("dictionary").join(target.name), words)?;
        println!("{}: {} seeds", target.name, seeds.len());
    }
    Ok(())
}

/// A word as libFuzzer reads it.
fn quoted(word: &[u8]) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b" :;,/=.-_".contains(byte);
    let letters = word.iter().map(|byte| match plain(byte) {
        true => char::from(*byte).to_string(),
        false => format!("\\x{byte:02x}"),
    });
    format!("\"{}\"\n", letters.collect::<String>())
}
