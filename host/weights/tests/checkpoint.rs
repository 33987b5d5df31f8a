//! Checkpoints as they come: whole, in shards, damaged and of another model. Files are made here.

use candle_core::{DType, Device};
use ocr_weights::spec::Dimensions;
use ocr_weights::{Checkpoint, DEEPSEEK_OCR, Places, State, locate, look_in};
use serde_json::{Value, json};
use std::path::Path;
use tempfile::TempDir;

/// A safetensors file of tensors `(name, type, shape, bytes)`.
fn safetensors(tensors: &[(&str, &str, &[usize], Vec<u8>)]) -> Vec<u8> {
    let (mut head, mut data) = (serde_json::Map::new(), Vec::new());
    for (name, dtype, shape, bytes) in tensors {
        let range = [data.len(), data.len() + bytes.len()];
        let entry = json!({"dtype": dtype, "shape": shape, "data_offsets": range});
        head.insert((*name).into(), entry);
        data.extend(bytes);
    }
    let head = Value::Object(head).to_string();
    [&(head.len() as u64).to_le_bytes()[..], head.as_bytes(), &data].concat()
}

fn f32s(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

/// Four tensors: `a` and `b` of [2], `c` of [2, 2], `d` a bf16 scalar.
fn tensors() -> Vec<(&'static str, &'static str, &'static [usize], Vec<u8>)> {
    vec![
        ("a", "F32", &[2], f32s(&[1.0, 2.0])),
        ("b", "F32", &[2], f32s(&[3.0, 4.0])),
        ("c", "F32", &[2, 2], f32s(&[5.0, 6.0, 7.0, 8.0])),
        ("d", "BF16", &[], vec![0x80, 0x3f]),
    ]
}

const EXPECTED: [(&str, &[usize]); 4] = [("a", &[2]), ("b", &[2]), ("c", &[2, 2]), ("d", &[])];

fn folder(files: &[(&str, Vec<u8>)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    folder
}

/// Two shards and their index.
fn sharded(index: Value) -> TempDir {
    let all = tensors();
    folder(&[
        ("model-00001-of-000002.safetensors", safetensors(&all[..2])),
        ("model-00002-of-000002.safetensors", safetensors(&all[2..])),
        ("model.safetensors.index.json", index.to_string().into_bytes()),
    ])
}

fn index() -> Value {
    let (one, two) = (
        "model-00001-of-000002.safetensors",
        "model-00002-of-000002.safetensors",
    );
    json!({"metadata": {"total_size": 34}, "weight_map": {"a": one, "b": one, "c": two, "d": two}})
}

fn open_error(folder: &Path) -> String {
    Checkpoint::open(folder).expect_err("it is refused").to_string()
}

#[test]
fn tensors_come_as_they_are_in_the_file() {
    let folder = folder(&[("model.safetensors", safetensors(&tensors()))]);
    let checkpoint = Checkpoint::open(folder.path()).unwrap();
    assert_eq!(checkpoint.names().collect::<Vec<_>>(), ["a", "b", "c", "d"]);
    assert_eq!(checkpoint.size_bytes(), 34);
    assert_eq!(checkpoint.shape("c").unwrap(), [2, 2]);
    assert_eq!(checkpoint.dtype("d").unwrap(), DType::BF16);
    assert_eq!(checkpoint.bytes("a").unwrap(), f32s(&[1.0, 2.0]));
    let c = checkpoint.tensor("c", &Device::Cpu).unwrap();
    assert_eq!(c.to_vec2::<f32>().unwrap(), [[5.0, 6.0], [7.0, 8.0]]);
    let d = checkpoint.tensor_as("d", DType::F32, &Device::Cpu).unwrap();
    assert_eq!(d.to_scalar::<f32>().unwrap(), 1.0);
    let error = checkpoint.bytes("e").unwrap_err().to_string();
    assert!(error.contains("has no tensor `e`"), "{error}");
    checkpoint.check(EXPECTED).unwrap();
}

#[test]
fn several_tensors_become_one() {
    let folder = folder(&[("model.safetensors", safetensors(&tensors()))]);
    let checkpoint = Checkpoint::open(folder.path()).unwrap();
    let stacked = checkpoint.stacked(&["b", "a"], DType::F32, &Device::Cpu).unwrap();
    assert_eq!(stacked.to_vec2::<f32>().unwrap(), [[3.0, 4.0], [1.0, 2.0]]);
    let error = checkpoint
        .stacked(&["a", "c"], DType::F32, &Device::Cpu)
        .unwrap_err();
    assert!(error.to_string().contains("tensor `c`"), "{error}");
    assert!(checkpoint.stacked::<&str>(&[], DType::F32, &Device::Cpu).is_err());
}

#[test]
fn shards_are_one_checkpoint_with_and_without_an_index() {
    let folder = sharded(index());
    Checkpoint::open(folder.path()).unwrap().check(EXPECTED).unwrap();
    std::fs::remove_file(folder.path().join("model.safetensors.index.json")).unwrap();
    Checkpoint::open(folder.path()).unwrap().check(EXPECTED).unwrap();
}

#[test]
fn files_that_the_index_does_not_name_are_left_alone() {
    let folder = sharded(index());
    std::fs::write(
        folder.path().join("consolidated.safetensors"),
        safetensors(&tensors()),
    )
    .unwrap();
    Checkpoint::open(folder.path()).unwrap().check(EXPECTED).unwrap();
    // Without the index it would be the same tensors twice.
    std::fs::remove_file(folder.path().join("model.safetensors.index.json")).unwrap();
    assert!(open_error(folder.path()).contains("is in an earlier file as well"));
}

#[test]
fn wrong_indexes_are_refused_in_words() {
    let with = |pointer: &str, value: Value| {
        let mut index = index();
        index["weight_map"][pointer] = value;
        open_error(sharded(index).path())
    };
    let two = "model-00002-of-000002.safetensors";
    for (error, expected) in [
        (
            with("a", json!(two)),
            "it says that tensor `a` is in model-00002-of-000002.safetensors",
        ),
        (with("e", json!(two)), "tensor `e` is in model-00002"),
        (
            with("a", json!("model-00003-of-000002.safetensors")),
            "incomplete: model-00003-of-000002.safetensors missing",
        ),
        (
            with("a", json!("../model.safetensors")),
            "`../model.safetensors` is no name",
        ),
        (
            with("a", json!("/etc/model.safetensors")),
            "`/etc/model.safetensors` is no name",
        ),
        (with("a", json!("config.json")), "`config.json` is no name"),
        (with("a", json!(7)), "invalid type"),
    ] {
        assert!(error.contains(expected), "{error} lacks {expected}");
    }
    let mut short = index();
    short["weight_map"].as_object_mut().unwrap().remove("d");
    let error = open_error(sharded(short).path());
    assert!(error.contains("it does not list tensor `d`"), "{error}");
}

#[test]
fn damaged_files_are_named() {
    let whole = safetensors(&tensors());
    for (bytes, expected) in [
        (
            whole[..whole.len() - 3].to_vec(),
            "truncated: 3 bytes are missing at its end",
        ),
        (Vec::new(), "0 bytes are too few"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:00".to_vec(),
            "its head claims",
        ),
    ] {
        let folder = folder(&[("model.safetensors", bytes)]);
        let error = open_error(folder.path());
        assert!(
            error.contains("model.safetensors is damaged") && error.contains(expected),
            "{error}"
        );
        assert!(error.contains("models fetch"), "{error}");
        // Fetching fills the hub's cache, which helps no folder that was named.
        let own = "leaving --model FOLDER out, or put the published file in its place";
        assert!(error.contains(own), "{error}");
    }
    let error = open_error(folder(&[("config.json", b"{}".to_vec())]).path());
    assert!(error.contains("incomplete: *.safetensors missing"), "{error}");
    let own = "leave --model FOLDER out, or put the published files into that folder";
    assert!(error.contains(own), "{error}");
}

#[test]
fn each_difference_is_one_clear_error() {
    let folder = folder(&[("model.safetensors", safetensors(&tensors()))]);
    let checkpoint = Checkpoint::open(folder.path()).unwrap();
    let differing = |expected: &[(&str, &[usize])]| {
        checkpoint
            .check(expected.iter().copied())
            .unwrap_err()
            .to_string()
    };
    let more: Vec<(&str, &[usize])> = [EXPECTED.to_vec(), vec![("e", &[1]), ("f", &[1])]].concat();
    for (error, expected) in [
        (
            differing(&more),
            "it has 4 tensors where the model has 6; missing 2: e, f;",
        ),
        (
            differing(&EXPECTED[..3]),
            "it has 4 tensors where the model has 3; unexpected 1: d;",
        ),
        (
            differing(&[("x", &[2]), EXPECTED[1], EXPECTED[2], EXPECTED[3]]),
            "4 tensors where the model has 4; missing 1: x; unexpected 1: a;",
        ),
        (
            differing(&[EXPECTED[0], ("b", &[3]), ("c", &[4]), EXPECTED[3]]),
            "2 tensors of a wrong shape: `b` is [2], not [3], `c` is [2, 2], not [4]",
        ),
    ] {
        assert!(error.contains(expected), "{error} lacks {expected}");
        assert_eq!(error.lines().count(), 1);
    }
}

#[test]
fn configurations_of_endless_tensors_are_refused() {
    let error = |layers: usize, experts: usize| {
        let config = json!({
            "vocab_size": 512, "hidden_size": 80, "num_hidden_layers": layers, "intermediate_size": 112,
            "n_routed_experts": experts, "moe_intermediate_size": 48, "n_shared_experts": 2,
            "vision_config": {"width": {
                "sam_vit_b": {"width": 48, "layers": 4, "heads": 3, "global_attn_indexes": [1],
                    "downsample_channels": [40, 64]},
                "clip-l-14-224": {"width": 64, "layers": 3}}}});
        let folder = folder(&[("config.json", config.to_string().into_bytes())]);
        Dimensions::of_folder(folder.path())
            .err()
            .map(|error| error.to_string())
    };
    assert_eq!(error(128, 512), None);
    for (layers, experts, expected) in [
        (4, 16_000_000, "`n_routed_experts` is 16000000, not in 1..=1024"),
        (1025, 8, "`num_hidden_layers` is 1025, not in 1..=1024"),
        (128, 513, "are more than 65536 experts"),
    ] {
        let error = error(layers, experts).unwrap();
        assert!(
            error.contains("config.json is damaged") && error.contains(expected),
            "{error} lacks {expected}"
        );
    }
}

#[test]
fn whole_numbers_are_no_weights() {
    let mut all = tensors();
    all[1] = ("b", "I64", &[2], vec![0; 16]);
    let folder = folder(&[("model.safetensors", safetensors(&all))]);
    let error = Checkpoint::open(folder.path())
        .unwrap()
        .check(EXPECTED)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("1 tensors of a wrong type, not bf16, f16 or f32: `b` is i64"),
        "{error}"
    );
}

/// A model's folder, without the files named `without`.
fn model(at: &Path, without: &[&str]) {
    std::fs::create_dir_all(at).unwrap();
    let weights = safetensors(&tensors());
    for (name, bytes) in [
        ("config.json", &b"{}"[..]),
        ("tokenizer.json", b"{}"),
        ("model.safetensors", &weights),
    ] {
        if !without.contains(&name) {
            std::fs::write(at.join(name), bytes).unwrap();
        }
    }
}

#[test]
fn models_are_found_where_they_are() {
    let base = tempfile::tempdir().unwrap();
    let places = Places {
        models: Some(base.path().join("models")),
        hub: Some(base.path().join("hub")),
    };
    let complete = || locate(&DEEPSEEK_OCR, &places, None).complete(&DEEPSEEK_OCR);
    let error = complete().unwrap_err().to_string();
    assert!(
        error.contains("models/deepseek-ocr") && error.contains("hub/models--deepseek-ai--DeepSeek-OCR"),
        "{error}"
    );
    assert!(error.contains("ocr-host models fetch deepseek-ocr"), "{error}");

    let repository = base.path().join("hub/models--deepseek-ai--DeepSeek-OCR");
    let (old, new) = (
        repository.join("snapshots").join("a".repeat(40)),
        repository.join("snapshots").join("b".repeat(40)),
    );
    model(&old, &["tokenizer.json"]);
    let error = complete().unwrap_err().to_string();
    assert!(error.contains("incomplete: tokenizer.json missing"), "{error}");
    model(&new, &[]);
    assert_eq!(complete().unwrap().folder, new);
    // What `main` stands for comes first, once it is complete.
    std::fs::create_dir_all(repository.join("refs")).unwrap();
    std::fs::write(repository.join("refs/main"), "a".repeat(40)).unwrap();
    assert_eq!(complete().unwrap().folder, new);
    model(&old, &[]);
    assert_eq!(complete().unwrap().folder, old);
    let revision = |revision: &str| locate(&DEEPSEEK_OCR, &places, Some(revision));
    assert!(matches!(revision(&"b".repeat(40)), State::Complete(found) if found.folder == new));
    assert!(matches!(revision("main"), State::Complete(found) if found.folder == old));
    assert!(matches!(revision("../main"), State::Absent { .. }));

    // Our own folder comes before the hub's.
    let own = base.path().join("models/deepseek-ocr");
    model(&own, &[]);
    assert_eq!(complete().unwrap().folder, own);

    // A folder that someone named: a cache, a repository in it, a plain one.
    for (named, folder) in [
        (base.path().join("hub"), &old),
        (repository.clone(), &old),
        (own.clone(), &own),
    ] {
        assert!(matches!(look_in(&DEEPSEEK_OCR, &named), State::Complete(found) if found.folder == *folder));
    }
}

#[test]
fn places_follow_the_environment() {
    let hub = |set: &[(&str, &str)]| {
        let places = Places::from_variables(
            |name| {
                set.iter()
                    .find(|(n, _)| *n == name)
                    .map(|(_, value)| value.into())
            },
            None,
        );
        places.hub.map(|path| path.display().to_string())
    };
    let mut set = vec![("HOME", "/h")];
    for (variable, expected) in [
        (("HOME", "/h"), "/h/.cache/huggingface/hub"),
        (("XDG_CACHE_HOME", "/c"), "/c/huggingface/hub"),
        (("HF_HOME", "/hf"), "/hf/hub"),
        (("HF_HUB_CACHE", "/cache"), "/cache"),
    ] {
        set.push(variable);
        assert_eq!(hub(&set).as_deref(), Some(expected));
    }
    assert_eq!(hub(&[]), None);
}
