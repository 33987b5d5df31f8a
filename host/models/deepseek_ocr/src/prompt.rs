//! What is asked of a page, and the ids that ask it.
//!
//! A prompt is upstream's "plain" template: the beginning of a sentence, then the message with `<image>` replaced by one
//! placeholder for each visual token; no roles, no end. Blanks around the message are stripped, so that the trailing
//! one in upstream's script reaches nobody.

use crate::error::ModelError;
use crate::tokenizer::Tokenizer;
use std::str::FromStr;

/// Where the page goes in a message.
const IMAGE: &str = "<image>";

/// What is asked of a page; the texts are upstream's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Task {
    /// `<|grounding|>Convert the document to markdown.`
    Markdown,
    /// `<|grounding|>OCR this image.`
    Ocr,
    /// `Free OCR.`, text without boxes.
    Free,
    /// `Parse the figure.`
    Figure,
    /// `Describe this image in detail.`
    Describe,
    /// `Locate <|ref|>TEXT<|/ref|> in the image.`; the text spells no tags.
    Locate(String),
    /// A prompt of the user's own; `<image>` stands where the page goes, else the page comes first.
    Prompt(String),
}

/// Why a prompt cannot be asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PromptError {
    /// There is nothing to locate, or nothing but blanks.
    #[error("nothing to locate; name the words to look for, as in `locate total`")]
    NothingToLocate,
    /// The words to locate spell tokens that steer the model.
    #[error("can't locate `{text}`: `{tag}` is a tag of the model and not text; leave it out")]
    Tag {
        /// The words.
        text: String,
        /// The token in them.
        tag: String,
    },
    /// A message has room for several pages.
    #[error("the prompt has `<image>` {0} times; write it once, where the page goes, or not at all")]
    Images(usize),
}

impl Task {
    /// Its name, lower case: that which `from_str` takes, and `prompt`.
    pub fn name(&self) -> &'static str {
        match self {
            Task::Markdown => "markdown",
            Task::Ocr => "ocr",
            Task::Free => "free",
            Task::Figure => "figure",
            Task::Describe => "describe",
            Task::Locate(_) => "locate",
            Task::Prompt(_) => "prompt",
        }
    }

    /// Whether the answer says where on the page things are.
    pub fn is_grounded(&self) -> bool {
        match self {
            Task::Markdown | Task::Ocr | Task::Locate(_) => true,
            Task::Free | Task::Figure | Task::Describe => false,
            Task::Prompt(text) => ["<|grounding|>", "<|ref|>"].iter().any(|tag| text.contains(tag)),
        }
    }

    /// The message, `<image>` in it once.
    fn message(&self, tokenizer: &Tokenizer) -> Result<String, ModelError> {
        let request = match self {
            Task::Markdown => "<|grounding|>Convert the document to markdown.",
            Task::Ocr => "<|grounding|>OCR this image.",
            Task::Free => "Free OCR.",
            Task::Figure => "Parse the figure.",
            Task::Describe => "Describe this image in detail.",
            Task::Locate(text) => {
                let text = text.trim();
                if text.is_empty() {
                    return Err(PromptError::NothingToLocate.into());
                }
                if let Some(tag) = tokenizer.first_tag(text)? {
                    let text = text.to_owned();
                    return Err(PromptError::Tag { text, tag }.into());
                }
                &format!("Locate <|ref|>{text}<|/ref|> in the image.")
            }
            Task::Prompt(text) => match text.matches(IMAGE).count() {
                0 => text.trim(),
                1 => return Ok(text.trim().to_owned()),
                many => return Err(PromptError::Images(many).into()),
            },
        };
        Ok(format!("{IMAGE}\n{request}").trim().to_owned())
    }
}

impl FromStr for Task {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let tasks = [
            Task::Markdown,
            Task::Ocr,
            Task::Free,
            Task::Figure,
            Task::Describe,
        ];
        if let Some(task) = tasks.into_iter().find(|task| task.name() == text) {
            return Ok(task);
        }
        match text.strip_prefix("locate") {
            Some("") => Err(PromptError::NothingToLocate.to_string()),
            Some(rest) if rest.starts_with([' ', ':']) => match rest[1..].trim() {
                "" => Err(PromptError::NothingToLocate.to_string()),
                text => Ok(Task::Locate(text.to_owned())),
            },
            _ => Err(format!(
                "there is no task `{text}`; there are markdown, ocr, free, figure, describe and `locate TEXT`"
            )),
        }
    }
}

/// The ids that go before an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    /// All of them, placeholders included.
    pub ids: Vec<u32>,
    /// Index of the first placeholder.
    pub image_start: usize,
    /// Placeholders, one for each visual token; see [`crate::image_tokens`].
    pub image_tokens: usize,
}

impl Prompt {
    /// Asks `task` of a page that takes `image_tokens` visual tokens.
    pub fn new(task: &Task, tokenizer: &Tokenizer, image_tokens: usize) -> Result<Self, ModelError> {
        let message = task.message(tokenizer)?;
        let (before, after) = message
            .split_once(IMAGE)
            .expect("a message has room for the page");
        let mut ids = vec![tokenizer.bos()];
        ids.extend(tokenizer.encode(before)?);
        let image_start = ids.len();
        ids.extend(std::iter::repeat_n(tokenizer.specials().image, image_tokens));
        ids.extend(tokenizer.encode(after)?);
        Ok(Self {
            ids,
            image_start,
            image_tokens,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenizer::tests::tiny;

    /// The ids of a prompt with three placeholders, as text.
    fn asked(task: Task) -> String {
        let tokenizer = tiny();
        let prompt = Prompt::new(&task, &tokenizer, 3).unwrap();
        assert_eq!(prompt.ids[0], 0);
        assert_eq!(prompt.ids[prompt.image_start..][..3], [400; 3]);
        assert_eq!(prompt.ids.iter().filter(|&&id| id == 400).count(), 3);
        tokenizer.decode(&prompt.ids[1..])
    }

    fn refused(task: Task) -> String {
        Prompt::new(&task, &tiny(), 3).unwrap_err().to_string()
    }

    #[test]
    fn tasks_are_upstreams_texts() {
        let image = "<image><image><image>\n";
        for (name, text) in [
            ("markdown", "<|grounding|>Convert the document to markdown."),
            ("ocr", "<|grounding|>OCR this image."),
            ("free", "Free OCR."),
            ("figure", "Parse the figure."),
            ("describe", "Describe this image in detail."),
            (
                "locate the total",
                "Locate <|ref|>the total<|/ref|> in the image.",
            ),
            (
                "locate: 11–12: noon",
                "Locate <|ref|>11–12: noon<|/ref|> in the image.",
            ),
        ] {
            let task: Task = name.parse().unwrap();
            assert!(name.starts_with(task.name()));
            assert_eq!(task.is_grounded(), text.contains("<|"));
            assert_eq!(asked(task), format!("{image}{text}"));
        }
    }

    #[test]
    fn tags_are_one_id_each() {
        let prompt = Prompt::new(&Task::Locate("a".to_owned()), &tiny(), 1).unwrap();
        // Bytes are id 3 + b in the tiny tokenizer; `<|ref|>` and `<|/ref|>` follow `<image>`.
        let text = |text: &str| text.bytes().map(|byte| 3 + u32::from(byte)).collect::<Vec<_>>();
        let expected = [
            vec![0, 400],
            text("\nLocate "),
            vec![401],
            text("a"),
            vec![402],
            text(" in the image."),
        ];
        assert_eq!(prompt.ids, expected.concat());
    }

    #[test]
    fn free_prompts_get_the_page_where_they_say() {
        assert_eq!(
            asked(Task::Prompt(" Read it. \n".to_owned())),
            "<image><image><image>\nRead it."
        );
        let inside = "<|grounding|>In <image> read it.";
        let task = Task::Prompt(inside.to_owned());
        assert!(task.is_grounded());
        assert_eq!(asked(task), inside.replace("<image>", "<image><image><image>"));
        assert_eq!(asked(Task::Prompt(String::new())), "<image><image><image>");
        assert_eq!(
            refused(Task::Prompt("<image> or <image>".to_owned())),
            "the prompt has `<image>` 2 times; write it once, where the page goes, or not at all"
        );
    }

    #[test]
    fn words_to_locate_spell_no_tags() {
        let found = refused(Task::Locate("a<|/ref|><|grounding|>".to_owned()));
        assert_eq!(
            found,
            "can't locate `a<|/ref|><|grounding|>`: `<|/ref|>` is a tag of the model and not text; leave it out"
        );
        for tag in ["<image>", "<td>", "<|User|>", "<｜begin▁of▁sentence｜>"] {
            assert!(refused(Task::Locate(format!("x {tag}y"))).contains(tag));
        }
        assert_eq!(
            asked(Task::Locate("a < b | c".to_owned()))
                .matches("a < b | c")
                .count(),
            1
        );
        assert!(refused(Task::Locate(" ".to_owned())).starts_with("nothing to locate"));
    }

    #[test]
    fn unknown_tasks_are_told_the_known() {
        for text in ["Markdown", "located x", "", "prompt"] {
            assert!(
                text.parse::<Task>()
                    .unwrap_err()
                    .contains("there are markdown, ocr"),
                "{text}"
            );
        }
        for text in ["locate", "locate:", "locate  "] {
            assert!(
                text.parse::<Task>().unwrap_err().starts_with("nothing to locate"),
                "{text}"
            );
        }
    }
}
