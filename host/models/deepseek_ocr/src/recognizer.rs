//! DeepSeek-OCR as a [`Recognizer`]: a page is seen, written down and parsed; where the text runs in circles it is
//! tried again in other modes, then given to another engine. No page is dropped.

use crate::error::ModelError;
use crate::generate::{Asked, Finish, Stop, Written};
use crate::grounding;
use crate::mode::Mode;
use crate::model::{Model, Seen};
use crate::options::Options;
use crate::prompt::{Prompt, Task};
use crate::tokenizer::TextStream;
use crate::turns::Turns;
use ocr_document::{Diagnostic, Outcome, Page, PageBuilder, Recovery, Severity};
use ocr_engine::{Control, PageJob, RecognizeError, Recognizer, RegionTask};
use std::time::Instant;

/// DeepSeek-OCR with its weights on a device.
pub struct DeepseekOcr {
    model: Model,
    options: Options,
    /// At getting pages ready.
    turns: Turns,
}

impl DeepseekOcr {
    /// Reads the folder and puts the weights on the device.
    pub fn load(options: Options) -> Result<Self, ModelError> {
        let model = Model::load(&options)?;
        // What is wrong with the prompt is wrong on every page, and the user's to mend.
        let prompt = Prompt::new(&options.task, model.tokenizer(), 0)?;
        model.check_room(&prompt)?;
        Ok(Self {
            model,
            options,
            turns: Turns::of_cores(),
        })
    }

    /// Pages that are best read at a time.
    pub fn pages_at_a_time(&self) -> usize {
        self.model.pages_at_a_time(&self.options)
    }

    /// Reads the page in one mode.
    fn attempt(
        &self,
        job: &PageJob,
        mode: Mode,
        task: &Task,
        control: &Control,
    ) -> Result<Attempt, RecognizeError> {
        control.check()?;
        let turn = self.turns.take();
        let started = Instant::now();
        let max_crops = self.options.max_crops;
        let seen = Seen::new(self.model.tokenizer(), &job.image, mode, max_crops, task)?;
        drop(turn);
        let preprocess = started.elapsed();
        let asked = Asked {
            max_new_tokens: self.options.max_new_tokens,
            ngram: self.options.ngram.clone(),
            stop: Stop::AtEndOrLoop,
        };
        let mut stopped = None;
        let mut text = TextStream::default();
        // Only the page's own text streams.
        let sink = self
            .options
            .sink
            .as_deref()
            .filter(|_| std::ptr::eq(task, &self.options.task));
        let say = |piece: &str| {
            if let Some(sink) = sink.filter(|_| !piece.is_empty()) {
                sink.text(job.number, piece);
            }
        };
        let written = self.model.write_for(&job.tenant, seen, &asked, &mut |token| {
            if let Some(token) = token {
                say(&text.push(self.model.tokenizer(), token));
            }
            stopped = control.check().err();
            stopped.is_none()
        });
        say(&text.finish());
        if let Some(sink) = sink {
            sink.end(job.number);
        }
        let mut written = written?;
        written.spent.insert(0, ("preprocess", preprocess));
        match stopped {
            Some(RecognizeError::Cancelled) => return Err(RecognizeError::Cancelled),
            // Time ran out before anything was written.
            Some(error) if written.tokens.is_empty() => return Err(error),
            _ => {}
        }
        Ok(Attempt {
            mode,
            raw: self.model.tokenizer().decode(&written.tokens),
            written,
        })
    }

    /// The modes in which a page is tried, in order.
    fn modes(&self) -> impl Iterator<Item = Mode> {
        let first = self.options.mode;
        std::iter::once(first).chain(
            self.options
                .retry
                .iter()
                .copied()
                .filter(move |&mode| mode != first),
        )
    }

    /// The page as another engine reads it, with the time of a page of its own: the model's may be used up.
    fn fall_back(&self, job: &PageJob, why: &Diagnostic) -> Option<Page> {
        let other = self.options.fallback.as_ref()?;
        let mut page = other.recognize(job, &Control::new(job.time_limit)).ok()?;
        let info = page.info_mut();
        if info.outcome == Outcome::Failed {
            return None;
        }
        info.recovery = Recovery::Fallback;
        info.diagnostics.push(why.clone());
        Some(page)
    }

    /// The page of an attempt, whole or in part.
    fn page(&self, job: &PageJob, attempt: &Attempt, tried: &[Attempt]) -> PageBuilder {
        let mut page = PageBuilder::new(job.info());
        page.info_mut().engine = format!("deepseek-ocr/{}", attempt.mode.name());
        for attempt in tried.iter().chain([attempt]) {
            page.tokens(attempt.written.tokens.len() as u32);
            for &(stage, spent) in &attempt.written.spent {
                page.time(stage, spent);
            }
        }
        page
    }

    fn name_of(&self, mode: Mode) -> String {
        format!("deepseek-ocr/{}", mode.name())
    }
}

/// One reading of a page.
struct Attempt {
    mode: Mode,
    written: Written,
    raw: String,
}

impl Recognizer for DeepseekOcr {
    fn name(&self) -> String {
        self.name_of(self.options.mode)
    }

    fn recognize(&self, job: &PageJob, control: &Control) -> Result<Page, RecognizeError> {
        let mut tried: Vec<Attempt> = Vec::new();
        for mode in self.modes() {
            match self.attempt(job, mode, &self.options.task, control) {
                Ok(attempt) => {
                    let is_whole = matches!(attempt.written.finish, Finish::End | Finish::Length);
                    // A first text that time cut short is the page, as far as it got; one of a further attempt has to
                    // be better than what was read before.
                    if is_whole || (tried.is_empty() && attempt.written.finish == Finish::Stopped) {
                        return Ok(self.finished(job, attempt, &tried));
                    }
                    let is_over = attempt.written.finish == Finish::Stopped;
                    tried.push(attempt);
                    if is_over {
                        break;
                    }
                }
                Err(RecognizeError::Cancelled) => return Err(RecognizeError::Cancelled),
                Err(error) if tried.is_empty() => {
                    let code = match error {
                        RecognizeError::Deadline(_) => "page-timeout",
                        _ => "model-failed",
                    };
                    let said =
                        Diagnostic::new(Severity::Warning, code, error.to_string()).on_page(job.number);
                    return self.fall_back(job, &said).ok_or(error);
                }
                // What an earlier attempt read is better than nothing.
                Err(_) => break,
            }
        }
        let said = running_in_circles(job, &tried);
        if let Some(page) = self.fall_back(job, &said) {
            return Ok(page);
        }
        Ok(self.kept(job, tried, said))
    }

    fn read_region(
        &self,
        job: &PageJob,
        task: &RegionTask,
        control: &Control,
    ) -> Result<Page, RecognizeError> {
        // Tables and formulas have no prompt of their own: the page's brings them in markup.
        let asked = match task {
            RegionTask::Text(_) => Task::Free,
            RegionTask::Markdown | RegionTask::Table | RegionTask::Formula => Task::Markdown,
            RegionTask::Figure => Task::Figure,
            RegionTask::Locate(words) => Task::Locate(words.clone()),
            RegionTask::Describe => Task::Describe,
        };
        let attempt = self.attempt(job, self.options.mode, &asked, control)?;
        let failed = match attempt.written.finish {
            Finish::Loop(_) => Some("the text of the region ran in circles"),
            Finish::Stopped => Some("the region's time was over before its text"),
            Finish::End | Finish::Length => None,
        };
        if let Some(why) = failed {
            return Err(RecognizeError::Model(why.into()));
        }
        let mut page = self.page(job, &attempt, &[]);
        grounding::fill(&mut page, &attempt.raw, asked.is_grounded());
        Ok(page.finish())
    }
}

impl DeepseekOcr {
    /// A page whose text came to an end, or to the end of its room or time.
    fn finished(&self, job: &PageJob, attempt: Attempt, looped: &[Attempt]) -> Page {
        let mut page = self.page(job, &attempt, looped);
        if !looped.is_empty() {
            page.info_mut().recovery = Recovery::Retried;
            page.info_mut().diagnostics.push(running_in_circles(job, looped));
        }
        let tokens = attempt.written.tokens.len();
        let cut = match attempt.written.finish {
            Finish::Length => Some((
                "output-truncated",
                match attempt.mode {
                    Mode::Tiny => {
                        format!("the text was cut after {tokens} tokens; allow more with --max-new-tokens")
                    }
                    _ => format!(
                        "the text was cut after {tokens} tokens; allow more with --max-new-tokens, or see less of the page with \
                         a smaller --mode"
                    ),
                },
            )),
            Finish::Stopped => Some((
                "page-timeout",
                format!("the page's time was over after {tokens} tokens; allow more with --page-timeout"),
            )),
            Finish::End | Finish::Loop(_) => None,
        };
        if let Some((code, message)) = cut {
            let info = page.info_mut();
            info.outcome = Outcome::Truncated;
            info.diagnostics
                .push(Diagnostic::new(Severity::Warning, code, message).on_page(job.number));
        }
        self.write_down(job, page, &attempt.raw)
    }

    /// The longest text up to where it began to repeat itself.
    fn kept(&self, job: &PageJob, mut looped: Vec<Attempt>, said: Diagnostic) -> Page {
        let good = |attempt: &Attempt| match &attempt.written.finish {
            Finish::Loop(found) => found.start.min(attempt.written.tokens.len()),
            _ => attempt.written.tokens.len(),
        };
        let best = (0..looped.len())
            .max_by_key(|&n| good(&looped[n]))
            .expect("an attempt was made");
        let attempt = looped.swap_remove(best);
        let mut page = self.page(job, &attempt, &looped);
        page.info_mut().outcome = Outcome::Repetition;
        page.info_mut().diagnostics.push(said);
        let tokens = &attempt.written.tokens[..good(&attempt)];
        let raw = self.model.tokenizer().decode(tokens);
        self.write_down(job, page, &raw)
    }

    fn write_down(&self, job: &PageJob, mut page: PageBuilder, raw: &str) -> Page {
        grounding::fill(&mut page, raw, self.options.task.is_grounded());
        page.raster(job.image.clone());
        page.finish()
    }
}

fn running_in_circles(job: &PageJob, attempts: &[Attempt]) -> Diagnostic {
    let tried: Vec<String> = attempts
        .iter()
        .map(|attempt| {
            format!(
                "{} after {} tokens",
                attempt.mode.name(),
                attempt.written.tokens.len()
            )
        })
        .collect();
    let message = format!("the text ran in circles in mode {}", tried.join(", in mode "));
    Diagnostic::new(Severity::Warning, "repetition", message).on_page(job.number)
}

impl From<ModelError> for RecognizeError {
    fn from(error: ModelError) -> Self {
        RecognizeError::Model(error.to_string())
    }
}
