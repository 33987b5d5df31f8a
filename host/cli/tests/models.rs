//! `ocr-host models` and `ocr-host doctor` as people run them.

use ocr_weights::spec::{Dimensions, deepseek_ocr};
use serde_json::{Map, Value, json};
use std::path::Path;
use std::process::{Command, Stdio};
use tempfile::TempDir;

struct Ran {
    code: i32,
    out: String,
    err: String,
}

/// The program with all its folders inside `home`, and no hub to ask.
fn run(home: &Path, args: &[&str]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ocr-host"));
    command.args(args).current_dir(home).stdin(Stdio::null());
    for (name, folder) in [
        ("OCR_HOST_CACHE", "cache"),
        ("OCR_HOST_MODELS", "models"),
        ("HF_HUB_CACHE", "hub"),
        ("XDG_CONFIG_HOME", "config"),
    ] {
        command.env(name, home.join(folder));
    }
    command
        .env("HF_ENDPOINT", "http://127.0.0.1:9")
        .env_remove("OCR_HOST_CONFIG");
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).expect("the program writes UTF-8");
    Ran {
        code: output.status.code().expect("it was not killed"),
        out: text(output.stdout),
        err: text(output.stderr),
    }
}

/// A model of DeepSeek-OCR's structure, as small as it gets, of zeros.
fn small_model(folder: &Path) {
    let language = json!({
        "vocab_size": 8, "hidden_size": 4, "num_hidden_layers": 2, "first_k_dense_replace": 1,
        "intermediate_size": 4, "moe_intermediate_size": 4, "n_routed_experts": 2, "n_shared_experts": 1});
    let vision = json!({"width": {
        "sam_vit_b": {"width": 4, "layers": 1, "heads": 2, "global_attn_indexes": [0],
                      "downsample_channels": [4, 4], "neck_channels": 4},
        "clip-l-14-224": {"width": 4, "layers": 1, "heads": 2}}});
    let config = json!({"language_config": language, "vision_config": vision});
    std::fs::create_dir_all(folder).unwrap();
    std::fs::write(folder.join("config.json"), config.to_string()).unwrap();
    std::fs::write(folder.join("tokenizer.json"), "{}").unwrap();
    let (mut head, mut end) = (Map::new(), 0);
    for (name, shape) in deepseek_ocr(&Dimensions::of_folder(folder).unwrap()) {
        let start = end;
        end += 2 * shape.iter().product::<usize>();
        head.insert(
            name,
            json!({"dtype": "BF16", "shape": shape, "data_offsets": [start, end]}),
        );
    }
    let head = Value::Object(head).to_string();
    let file = [
        &(head.len() as u64).to_le_bytes()[..],
        head.as_bytes(),
        &vec![0; end],
    ]
    .concat();
    std::fs::write(folder.join("model.safetensors"), file).unwrap();
}

fn home() -> TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn what_is_not_fetched_is_listed_with_the_command_that_does() {
    let home = home();
    let list = run(home.path(), &["models", "list"]);
    assert_eq!(list.code, 0);
    assert!(
        list.out.contains("run `ocr-host models fetch deepseek-ocr`"),
        "{}",
        list.out
    );
    for args in [
        &["models", "path", "deepseek-ocr"][..],
        &["models", "verify", "deepseek-ocr"],
        &["models", "fetch", "deepseek-ocr", "--offline"],
        &["models", "fetch", "ppocr-small", "--offline"],
    ] {
        let ran = run(home.path(), args);
        assert_eq!((ran.code, ran.out.as_str()), (3, ""), "{args:?}");
        assert_eq!(ran.err.lines().count(), 1, "{}", ran.err);
    }
}

#[test]
fn flags_that_do_not_fit_the_model_are_refused() {
    for args in [
        &["models", "fetch", "ppocr-small", "--revision", "main"][..],
        &["models", "fetch", "deepseek-ocr", "--from", "a.whl"],
        &["models", "fetch", "deepseek-ocr", "--revision", "../main"],
        &["models", "path", "gpt"],
        &["models", "verify", "gpt"],
    ] {
        let ran = run(home().path(), args);
        assert_eq!(ran.code, 1, "{args:?}: {}", ran.err);
    }
}

#[test]
fn a_complete_model_is_listed_found_and_verified() {
    let home = home();
    let folder = home.path().join("models/deepseek-ocr");
    small_model(&folder);
    let path = format!("{}\n", folder.display());
    assert!(run(home.path(), &["models", "list"]).out.contains(&path));
    assert_eq!(run(home.path(), &["models", "path", "deepseek-ocr"]).out, path);
    let verified = run(home.path(), &["models", "verify", "deepseek-ocr"]);
    assert_eq!(verified.code, 0, "{}", verified.err);
    assert!(
        verified.out.contains("is whole") && verified.out.contains("3 of unknown digest"),
        "{}",
        verified.out
    );
    // The same by its folder, from elsewhere.
    let other = self::home();
    let named = run(other.path(), &["models", "verify", folder.to_str().unwrap()]);
    assert_eq!((named.code, named.out), (0, verified.out));
}

#[test]
fn what_is_wrong_with_a_model_is_said() {
    let home = home();
    let folder = home.path().join("models/deepseek-ocr");
    small_model(&folder);
    let refused = |expected: &str| {
        let ran = run(home.path(), &["models", "verify", "deepseek-ocr"]);
        assert_eq!(ran.code, 3, "{}", ran.err);
        assert!(
            ran.err.contains(expected) && ran.err.lines().count() == 1,
            "{}",
            ran.err
        );
    };
    let config = std::fs::read_to_string(folder.join("config.json")).unwrap();
    let wider = config.replace("\"intermediate_size\":4", "\"intermediate_size\":5");
    std::fs::write(folder.join("config.json"), wider).unwrap();
    refused("3 tensors of a wrong shape: `model.layers.0.mlp.down_proj.weight` is [4, 4], not [4, 5]");
    let deeper = config.replace("\"num_hidden_layers\":2", "\"num_hidden_layers\":3");
    std::fs::write(folder.join("config.json"), deeper).unwrap();
    refused("missing 16: model.layers.2.input_layernorm.weight");
    std::fs::write(folder.join("config.json"), &config).unwrap();
    let weights = folder.join("model.safetensors");
    let bytes = std::fs::read(&weights).unwrap();
    std::fs::write(&weights, &bytes[..bytes.len() - 9]).unwrap();
    refused("model.safetensors is damaged: it is truncated: 9 bytes are missing");
    std::fs::remove_file(&weights).unwrap();
    refused("incomplete: *.safetensors missing");
    assert!(
        run(home.path(), &["models", "list"])
            .out
            .contains("is incomplete")
    );
}

#[test]
fn doctor_says_what_runs_and_what_is_missing() {
    let home = home();
    let ran = run(home.path(), &["doctor", "--json"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let found: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(found["engines"][0]["missing"], Value::Null);
    assert_eq!(found["cuda"]["is_built"], json!(cfg!(feature = "cuda")));
    assert_eq!(found["code_cache"]["is_usable"], json!(true));
    assert_eq!(found["plugins"].as_array().unwrap().len(), 13);
    let advice = found["advice"].to_string();
    assert!(advice.contains("ocr-host models fetch deepseek-ocr"), "{advice}");

    small_model(&home.path().join("models/deepseek-ocr"));
    std::fs::write(home.path().join("ocr-host.toml"), "dpi = 9000\n").unwrap();
    let ran = run(home.path(), &["doctor"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let line = |label: &str| ran.out.lines().find(|l| l.starts_with(label)).unwrap_or_default();
    assert!(
        line("deepseek-ocr").contains("ready") && line("ppocr").contains("ready"),
        "{}",
        ran.out
    );
    assert!(
        line("config").contains("ocr-host.toml")
            && line("to do").contains("ocr-host.toml has 1 error")
            && ran.out.contains("ocr-host.toml:1:7")
            && ran.out.contains("36..=1200"),
        "{}",
        ran.out
    );
}

#[test]
fn where_nothing_can_run_doctor_fails() {
    let home = home();
    std::fs::write(home.path().join("ocr-host.toml"), "models = 'nowhere'\n").unwrap();
    let ran = run(home.path(), &["doctor"]);
    assert_eq!(ran.code, 3, "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("can't run"), "{}", ran.out);
}
