//! Every stage of the tiny checkpoint against PyTorch's, in f32 on the CPU; how the fixtures were made stands in
//! host/conformance/deepseek_ocr.

mod common;

use candle_core::Tensor;
use common::{Fixture, tiny};
use ocr_model_deepseek::generate::{Asked, Finish, Stop};
use ocr_model_deepseek::{Model, NgramRule, Options, Place, Precision, Seen, Tap};
use std::collections::BTreeMap;

/// Relative L2 error that a stage may have.
const MOST_ERROR: f64 = 1e-4;

fn seen_of(model: &Model, fixture: &Fixture) -> Seen {
    let Fixture {
        image,
        mode,
        max_crops,
        task,
        ..
    } = fixture;
    Seen::new(model.tokenizer(), image, *mode, *max_crops, task).unwrap()
}

/// Reads the fixture's page and answers all stages by name.
fn stages(model: &Model, fixture: &Fixture) -> (BTreeMap<String, Vec<f32>>, Vec<u32>) {
    let mut stages = BTreeMap::new();
    let mut hear = |name: &str, value: &Tensor| {
        stages.insert(name.to_owned(), value.flatten_all()?.to_vec1::<f32>()?);
        Ok(())
    };
    let seen = seen_of(model, fixture);
    let asked = Asked {
        max_new_tokens: 1,
        ngram: NgramRule {
            size: 0,
            ..NgramRule::default()
        },
        stop: Stop::Never,
    };
    let written = model
        .write_tapped(&seen, &asked, &mut Tap::on(&mut hear))
        .unwrap();
    assert_eq!(written.unwrap().tokens.len(), 1);
    (stages, seen.prompt.ids)
}

/// Greedy tokens under a rule, with the end token where it came.
fn tokens(model: &Model, fixture: &Fixture, rule: &NgramRule, count: usize) -> Vec<u32> {
    let seen = seen_of(model, fixture);
    let asked = Asked {
        max_new_tokens: count,
        ngram: rule.clone(),
        stop: Stop::AtEnd,
    };
    let written = model.write(seen, &asked, &mut |_| true).unwrap();
    let mut tokens = written.tokens;
    tokens.extend((written.finish == Finish::End).then_some(model.config().eos_token));
    tokens
}

fn compare(precision: Precision) {
    let folder = tiny(ocr_synthetic::Kind::Tiny);
    let mut options = Options::new(folder.path(), Place::Cpu);
    options.precision = Some(precision);
    let model = Model::load(&options).unwrap();
    for name in ["base", "gundam", "tiny"] {
        let fixture = Fixture::read(name);
        let (stages, ids) = stages(&model, &fixture);
        assert_eq!(ids, fixture.ids("prompt_ids"), "{name}");
        let (mut compared, mut off) = (0, Vec::new());
        for (stage, expected) in fixture.stages() {
            let found = stages
                .get(&stage)
                .unwrap_or_else(|| panic!("{name}: no stage {stage}"));
            let found: Vec<f32> = found.iter().copied().step_by(expected.stride).collect();
            assert_eq!(found.len(), expected.values.len(), "{name}: {stage}");
            let square = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
            let mut apart = found.iter().zip(&expected.values).map(|(a, b)| f64::from(a - b));
            let error = square(&mut apart) / square(&mut expected.values.iter().map(|&v| f64::from(v)));
            if error > MOST_ERROR {
                off.push(format!("{stage} by {error:.2e}"));
            }
            compared += 1;
        }
        assert!(off.is_empty(), "{name}: stages are off: {}", off.join(", "));
        assert!(compared >= 12, "{name}: only {compared} stages compared");
        let guard = fixture.guard();
        let none = NgramRule {
            size: 0,
            ..guard.clone()
        };
        let all = NgramRule {
            window: None,
            allowed: Vec::new(),
            ..guard.clone()
        };
        for (expected, rule) in [
            ("tokens", none),
            ("tokens.ngram_all", all),
            ("tokens.ngram_window", guard),
        ] {
            let expected_ids = fixture.ids(expected);
            let found = tokens(&model, &fixture, &rule, fixture.count);
            assert_eq!(found, expected_ids, "{name}: {expected}");
        }
    }
}

#[test]
fn every_stage_in_f32_is_pytorchs() {
    compare(Precision::F32);
}

#[test]
fn weights_kept_in_bf16_give_the_same_numbers() {
    compare(Precision::Bf16);
}
