//! From a recogniser's class scores to text (greedy connectionist temporal classification,
//! <https://www.cs.toronto.edu/~graves/icml_2006.pdf>).

/// Class 0 means "no new character".
const BLANK: usize = 0;

/// The characters a recogniser knows, by class.
pub(crate) struct Dictionary {
    characters: Vec<String>,
}

impl Dictionary {
    /// One character a line, either line ending; class 0 is the blank and the last class is the space, neither of
    /// which the list holds.
    pub fn from_lines(lines: &str) -> Self {
        let listed = lines
            .trim_end_matches(['\r', '\n'])
            .split('\n')
            .map(|l| l.trim_end_matches('\r').to_owned());
        Self {
            characters: [String::new()]
                .into_iter()
                .chain(listed)
                .chain([" ".to_owned()])
                .collect(),
        }
    }

    /// Classes, blank and space included.
    pub fn classes(&self) -> usize {
        self.characters.len()
    }
}

/// One character of a line.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Character<'a> {
    /// Its text.
    pub text: &'a str,
    /// The step that showed it first; steps divide the line evenly.
    pub step: usize,
    /// 0 ..= 1.
    pub confidence: f32,
}

/// Decodes `steps x classes` probabilities: the best class a step, repeats of the step before and blanks dropped.
pub(crate) fn decode<'a>(scores: &[f32], dictionary: &'a Dictionary) -> Vec<Character<'a>> {
    let mut out = Vec::new();
    let mut before = BLANK;
    for (step, row) in scores.chunks_exact(dictionary.classes()).enumerate() {
        let (class, confidence) = best(row);
        if class != BLANK && class != before {
            out.push(Character {
                text: &dictionary.characters[class],
                step,
                confidence,
            });
        }
        before = class;
    }
    out
}

/// The first greatest value and its place, found in two passes that both vectorise.
fn best(row: &[f32]) -> (usize, f32) {
    let mut lanes = [f32::MIN; 8];
    let chunks = row.chunks_exact(8);
    let rest = chunks.remainder().iter().copied().fold(f32::MIN, f32::max);
    for chunk in chunks {
        for (lane, &v) in lanes.iter_mut().zip(chunk) {
            *lane = if v > *lane { v } else { *lane };
        }
    }
    let most = lanes.iter().copied().fold(rest, f32::max);
    (row.iter().position(|&v| v == most).unwrap_or(BLANK), most)
}

/// Mean confidence of the characters, 0 when there are none.
pub(crate) fn confidence(characters: &[Character]) -> f32 {
    let sum: f32 = characters.iter().map(|c| c.confidence).sum();
    if characters.is_empty() {
        0.0
    } else {
        sum / characters.len() as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scores in which each step's class has 0.9.
    fn scores(classes: usize, best: &[usize]) -> Vec<f32> {
        best.iter()
            .flat_map(|&b| (0..classes).map(move |c| if c == b { 0.9 } else { 0.1 / classes as f32 }))
            .collect()
    }

    fn text(dictionary: &Dictionary, best: &[usize]) -> String {
        decode(&scores(dictionary.classes(), best), dictionary)
            .iter()
            .map(|c| c.text)
            .collect()
    }

    #[test]
    fn dictionary_takes_either_line_ending() {
        for lines in ["a\nb\nc", "a\r\nb\r\nc\r\n"] {
            let dictionary = Dictionary::from_lines(lines);
            assert_eq!(dictionary.classes(), 5);
            assert_eq!(text(&dictionary, &[1, 2, 3, 4]), "abc ");
        }
    }

    #[test]
    fn repeats_merge_unless_a_blank_parts_them() {
        let dictionary = Dictionary::from_lines("a\nb");
        assert_eq!(text(&dictionary, &[0, 1, 1, 0, 1, 2, 2, 0]), "aab");
        assert_eq!(text(&dictionary, &[0, 0]), "");
    }

    #[test]
    fn characters_remember_their_step_and_confidence() {
        let dictionary = Dictionary::from_lines("a\nb");
        let scores = scores(4, &[0, 2, 2, 1]);
        let read = decode(&scores, &dictionary);
        assert_eq!(read.iter().map(|c| c.step).collect::<Vec<_>>(), [1, 3]);
        assert!((confidence(&read) - 0.9).abs() < 1e-6);
        assert_eq!(confidence(&[]), 0.0);
    }

    #[test]
    fn the_best_class_is_found_in_any_lane() {
        for n in 0..19 {
            let mut row = [0.0; 19];
            row[n] = 0.7;
            assert_eq!(best(&row), (n, 0.7));
        }
        assert_eq!(best(&[f32::NAN; 3]).0, 0);
    }
}
