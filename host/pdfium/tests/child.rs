//! The renderer and its children, with a real libpdfium.
//!
//! This program is the child and the parent that is killed, as its first argument says; without one it is the tests. libpdfium is taken from `OCR_HOST_PDFIUM` or looked for; where there is none, the
//! tests that need it say so and pass.

mod pdfs;

use ocr_pdfium::{
    Allowance, ChildOptions, Document, DocumentBytes, Launch, Limits, RenderError, Renderer, locate,
};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const MIB: u64 = 1 << 20;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("child") => return child(&arguments),
        Some("parent") => return parent(&arguments[1]),
        _ => {}
    }
    // As `cargo test -- NAME` gives it.
    let wanted = arguments.iter().find(|a| !a.starts_with('-'));
    if arguments.iter().any(|a| a == "--list") {
        TESTS.iter().for_each(|(name, _)| println!("{name}: test"));
        return;
    }
    let (mut failed, mut passed) = (Vec::new(), 0);
    for (name, test) in TESTS {
        if wanted.is_some_and(|w| !name.contains(w.as_str())) {
            continue;
        }
        println!("test {name} ...");
        match std::panic::catch_unwind(test) {
            Ok(()) => passed += 1,
            Err(_) => failed.push(*name),
        }
    }
    println!(
        "\ntest result: {passed} passed, {} failed {failed:?}\n",
        failed.len()
    );
    std::process::exit(i32::from(!failed.is_empty()) * 101);
}

const TESTS: &[(&str, fn())] = &[
    (
        "pages_are_drawn_in_the_size_asked_for",
        pages_are_drawn_in_the_size_asked_for,
    ),
    (
        "words_are_told_with_their_places",
        words_are_told_with_their_places,
    ),
    (
        "damaged_and_encrypted_files_say_so",
        damaged_and_encrypted_files_say_so,
    ),
    (
        "a_page_that_takes_too_long_costs_itself_alone",
        a_page_that_takes_too_long_costs_itself_alone,
    ),
    (
        "a_page_that_takes_too_much_memory_costs_itself_alone",
        a_page_that_takes_too_much_memory_costs_itself_alone,
    ),
    (
        "processor_time_is_limited_by_the_kernel_too",
        processor_time_is_limited_by_the_kernel_too,
    ),
    (
        "a_page_that_is_no_longer_wanted_ends_soon",
        a_page_that_is_no_longer_wanted_ends_soon,
    ),
    (
        "a_child_that_was_killed_is_replaced",
        a_child_that_was_killed_is_replaced,
    ),
    (
        "a_document_that_kills_every_child_is_given_up",
        a_document_that_kills_every_child_is_given_up,
    ),
    ("children_take_turns", children_take_turns),
    (
        "nobody_keeps_all_children_for_itself",
        nobody_keeps_all_children_for_itself,
    ),
    (
        "a_document_is_opened_anew_once_a_turn_and_not_for_each_page",
        a_document_is_opened_anew_once_a_turn_and_not_for_each_page,
    ),
    ("nothing_is_left_behind", nothing_is_left_behind),
    (
        "fifty_pages_take_no_more_memory_than_ten",
        fifty_pages_take_no_more_memory_than_ten,
    ),
    ("a_child_ends_with_its_parent", a_child_ends_with_its_parent),
    (
        "a_library_that_is_none_is_told_of",
        a_library_that_is_none_is_told_of,
    ),
];

// The other programs that this one is.

fn child(arguments: &[String]) {
    let options = ChildOptions::read(arguments).unwrap();
    if ocr_pdfium::serve(&options).is_err() {
        std::process::exit(3);
    }
}

/// Has a child draw a page that takes for ever, tells its number and waits to be killed.
fn parent(library: &str) {
    let renderer = Renderer::new(launch(library.into()), Limits::default());
    let mut document = renderer.open(Box::new(pdfs::slow()), None, &minute()).unwrap();
    println!("{}", renderer.children()[0]);
    let _ = document.render(1, 6000, 8000, &minute());
}

// Helpers.

fn launch(library: PathBuf) -> Launch {
    Launch::this_program(["child"], library)
}

fn minute() -> Allowance<'static> {
    Allowance::of(Duration::from_secs(60))
}

fn library() -> Option<PathBuf> {
    let named = std::env::var_os("OCR_HOST_PDFIUM").map(PathBuf::from);
    let found = locate(named.as_deref()).unwrap();
    if found.is_none() {
        println!("  skipped: there is no libpdfium; `pip install pypdfium2`, or name one in OCR_HOST_PDFIUM");
    }
    found
}

fn renderer(limits: Limits) -> Option<Renderer> {
    Some(Renderer::new(launch(library()?), limits))
}

fn open(renderer: &Renderer, bytes: Vec<u8>) -> Document {
    renderer.open(Box::new(bytes), None, &minute()).unwrap()
}

/// The darkest pixel of a page: text is on it.
fn darkest(document: &mut Document, page: u32) -> u8 {
    let image = document.render(page, 306, 396, &minute()).unwrap();
    *image.pixels().iter().min().unwrap()
}

fn is_there(process: u32) -> bool {
    Path::new(&format!("/proc/{process}")).exists()
}

fn resident_kib(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches("kB").trim().parse().unwrap()
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

// Tests.

fn pages_are_drawn_in_the_size_asked_for() {
    let Some(renderer) = renderer(Limits::default()) else {
        return;
    };
    assert_eq!(
        renderer.probe(&minute()).unwrap(),
        ocr_confine::FILTERS_SYSTEM_CALLS
    );
    let mut document = open(&renderer, pdfs::lines(&["one".into(), "two".into()]));
    assert_eq!(document.pages(), 2);
    assert_eq!(document.size(1, &minute()).unwrap(), (612.0, 792.0));
    for (width, height) in [(1, 1), (307, 401), (1275, 1650)] {
        let image = document.render(0, width, height, &minute()).unwrap();
        assert_eq!((image.width(), image.height()), (width, height));
    }
    let image = document.render(0, 612, 792, &minute()).unwrap();
    let at = |x: usize, y: usize| &image.pixels()[(y * 612 + x) * 3..][..3];
    assert_eq!(at(0, 0), [255, 255, 255]);
    // The line's letters stand on a base 700 points above the page's foot, and nothing is anywhere else.
    let dark = |y: usize| (0..612).any(|x| at(x, y)[0] < 128);
    assert!((76..92).any(dark) && !(100..792).any(dark) && !(0..60).any(dark));
    let refused = document.render(2, 10, 10, &minute()).unwrap_err();
    assert!(
        matches!(&refused, RenderError::Refused(why) if why.contains("page 3")),
        "{refused}"
    );
    assert!(
        darkest(&mut document, 1) < 128,
        "a page that is not there costs nothing"
    );
}

fn words_are_told_with_their_places() {
    let Some(renderer) = renderer(Limits::default()) else {
        return;
    };
    let mut document = open(
        &renderer,
        pdfs::lines(&["Hello, wide world".into(), String::new()]),
    );
    let layer = document.text(0, &minute()).unwrap();
    let words: Vec<&str> = layer.words.iter().map(|w| w.text.as_str()).collect();
    assert_eq!(words, ["Hello,", "wide", "world"]);
    let mut right = 0.0;
    for word in &layer.words {
        let (a, c) = (word.outline.a, word.outline.c);
        assert!(a.x >= right && c.x > a.x, "{word:?}");
        assert!(a.y > 60.0 && a.y < 92.0 && c.y > 91.0 && c.y < 105.0, "{word:?}");
        right = a.x;
    }
    assert!((layer.words[0].outline.a.x - 72.0).abs() < 3.0);
    assert_eq!(document.text(1, &minute()).unwrap().words, []);
}

fn damaged_and_encrypted_files_say_so() {
    let Some(renderer) = renderer(Limits::default()) else {
        return;
    };
    let opened = |bytes: &[u8]| {
        renderer
            .open(Box::new(bytes.to_vec()), None, &minute())
            .map(|_| ())
    };
    let refused = opened(b"this is no PDF").unwrap_err();
    assert!(
        matches!(&refused, RenderError::Refused(why) if why.contains("no PDF")),
        "{refused}"
    );
    assert!(matches!(opened(b""), Err(RenderError::Refused(_))));
    let half = pdfs::bomb();
    let _ = opened(&half[..half.len() / 2]);
    assert_eq!(
        renderer.children(),
        [0; 0],
        "none is left of those that were not opened"
    );
}

fn a_page_that_takes_too_long_costs_itself_alone() {
    let Some(renderer) = renderer(Limits::default()) else {
        return;
    };
    let mut document = open(&renderer, pdfs::slow());
    assert!(darkest(&mut document, 0) < 128);
    let first = renderer.children();
    let started = Instant::now();
    let limit = Duration::from_millis(700);
    let overdue = document.render(1, 6000, 8000, &Allowance::of(limit)).unwrap_err();
    assert!(matches!(overdue, RenderError::Overdue(_)), "{overdue}");
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "{:?}",
        started.elapsed()
    );
    assert!(!is_there(first[0]), "it was ended and waited for");
    assert!(darkest(&mut document, 2) < 128);
    assert_ne!(renderer.children(), first);
}

fn a_page_that_takes_too_much_memory_costs_itself_alone() {
    let limits = Limits {
        memory: 48 * MIB,
        ..Limits::default()
    };
    let Some(renderer) = renderer(limits) else { return };
    let mut document = open(&renderer, pdfs::bomb());
    assert!(darkest(&mut document, 0) < 128);
    let died = document.render(1, 306, 396, &minute()).unwrap_err();
    assert!(
        matches!(&died, RenderError::Died(why) if why.contains("memory")),
        "{died}"
    );
    assert!(darkest(&mut document, 2) < 128);
}

fn processor_time_is_limited_by_the_kernel_too() {
    let limits = Limits {
        time: Duration::from_millis(250),
        ..Limits::default()
    };
    let Some(renderer) = renderer(limits) else { return };
    let mut document = open(&renderer, pdfs::slow());
    let died = document.render(1, 6000, 8000, &minute()).unwrap_err();
    assert!(
        matches!(&died, RenderError::Died(why) if why.contains("SIGXCPU") || why.contains("signal 9")),
        "{died}"
    );
    assert!(darkest(&mut document, 2) < 128);
}

fn a_page_that_is_no_longer_wanted_ends_soon() {
    let Some(renderer) = renderer(Limits::default()) else {
        return;
    };
    let mut document = open(&renderer, pdfs::slow());
    let started = Instant::now();
    let unwanted = || started.elapsed() > Duration::from_millis(300);
    let allowance = Allowance::until(started + Duration::from_secs(60), &unwanted);
    assert_eq!(
        document.render(1, 6000, 8000, &allowance),
        Err(RenderError::Cancelled)
    );
    assert!(started.elapsed() < Duration::from_secs(5));
    assert_eq!(renderer.children(), [0; 0]);
}

fn a_child_that_was_killed_is_replaced() {
    let Some(renderer) = renderer(Limits::default()) else {
        return;
    };
    let mut document = open(&renderer, pdfs::lines(&["one".into()]));
    for _ in 0..5 {
        let child = renderer.children()[0];
        let process = nix::unistd::Pid::from_raw(child as i32);
        nix::sys::signal::kill(process, nix::sys::signal::Signal::SIGKILL).unwrap();
        let died = document.render(0, 10, 10, &minute()).unwrap_err();
        assert!(
            matches!(&died, RenderError::Died(why) if why.contains("signal 9")),
            "{died}"
        );
        assert!(
            darkest(&mut document, 0) < 128,
            "one that works is no loss in a row"
        );
    }
}

fn a_document_that_kills_every_child_is_given_up() {
    let limits = Limits {
        memory: 48 * MIB,
        ..Limits::default()
    };
    let Some(renderer) = renderer(limits) else { return };
    let mut document = open(&renderer, pdfs::bomb());
    for _ in 0..3 {
        assert!(matches!(
            document.render(1, 306, 396, &minute()),
            Err(RenderError::Died(_))
        ));
    }
    let given_up = document.render(1, 306, 396, &minute()).unwrap_err();
    assert!(
        matches!(&given_up, RenderError::Refused(why) if why.contains("in a row")),
        "{given_up}"
    );
}

fn nobody_keeps_all_children_for_itself() {
    let limits = Limits {
        children: 1,
        ..Limits::default()
    };
    let Some(renderer) = renderer(limits) else {
        return;
    };
    let (drawn, is_done) = (AtomicUsize::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut document = open(&renderer.of("many"), pdfs::lines(&["many".into()]));
            while !is_done.load(Ordering::SeqCst) {
                assert!(darkest(&mut document, 0) < 128);
                drawn.fetch_add(1, Ordering::SeqCst);
            }
        });
        while drawn.load(Ordering::SeqCst) == 0 {
            std::thread::yield_now();
        }
        // It goes from page to page without a rest, and still the other one gets its turns.
        let mut document = open(&renderer.of("few"), pdfs::lines(&["few".into()]));
        for _ in 0..3 {
            let before = drawn.load(Ordering::SeqCst);
            assert!(darkest(&mut document, 0) < 128);
            let asked = Instant::now();
            while drawn.load(Ordering::SeqCst) == before {
                assert!(asked.elapsed() < Duration::from_secs(60));
                std::thread::yield_now();
            }
        }
        is_done.store(true, Ordering::SeqCst);
    });
}

/// A document that counts how often it is opened.
struct Counted<'a>(Vec<u8>, &'a AtomicUsize);

impl DocumentBytes for Counted<'_> {
    fn len(&self) -> u64 {
        DocumentBytes::len(&self.0)
    }

    fn read_at(&self, offset: u64, len: usize) -> std::io::Result<Vec<u8>> {
        self.1.fetch_add(usize::from(offset == 0), Ordering::SeqCst);
        self.0.read_at(offset, len)
    }
}

fn a_document_is_opened_anew_once_a_turn_and_not_for_each_page() {
    const PAGES: usize = 48;
    let limits = Limits {
        children: 2,
        ..Limits::default()
    };
    let Some(renderer) = renderer(limits) else {
        return;
    };
    static OPENED: AtomicUsize = AtomicUsize::new(0);
    // Two have a party of their own, and two share one: five documents that never rest, and two children.
    let parties = ["a", "b", "c", "d", "d"];
    std::thread::scope(|scope| {
        for party in parties {
            let renderer = renderer.of(party);
            scope.spawn(move || {
                let bytes = Counted(pdfs::lines(&[party.into()]), &OPENED);
                let mut document = renderer.open(Box::new(bytes), None, &minute()).unwrap();
                for _ in 0..PAGES {
                    assert!(darkest(&mut document, 0) < 128);
                }
            });
        }
    });
    let opened = OPENED.load(Ordering::SeqCst);
    println!("  {opened} times opened for {} pages", parties.len() * PAGES);
    // 16 pages are a turn; where the machine is busy, time ends one earlier.
    assert!(opened <= parties.len() * (1 + PAGES / 4), "{opened}");
}

fn children_take_turns() {
    let limits = Limits {
        children: 2,
        ..Limits::default()
    };
    let Some(renderer) = renderer(limits) else { return };
    // Six documents at once, two children: all are drawn, and never more than two live.
    std::thread::scope(|scope| {
        for n in 0..6 {
            let renderer = &renderer;
            scope.spawn(move || {
                let mut document = open(renderer, pdfs::lines(&[format!("document {n}")]));
                for _ in 0..4 {
                    assert!(darkest(&mut document, 0) < 128);
                    assert!(renderer.living() <= 2);
                }
            });
        }
    });
    assert_eq!(renderer.living(), 0);
    // Two that are idle make room for a third.
    let mut documents: Vec<Document> = (0..3)
        .map(|n| open(&renderer, pdfs::lines(&[format!("document {n}")])))
        .collect();
    assert_eq!(renderer.children().len(), 2);
    assert!(documents.iter_mut().all(|document| darkest(document, 0) < 128));
}

fn nothing_is_left_behind() {
    let Some(renderer) = renderer(Limits::default()) else {
        return;
    };
    let cycle = || {
        let mut document = open(&renderer, pdfs::lines(&["one".into()]));
        darkest(&mut document, 0);
        renderer.children()[0]
    };
    cycle();
    let before = descriptors();
    let children: Vec<u32> = (0..20).map(|_| cycle()).collect();
    assert_eq!(descriptors(), before);
    assert!(
        children.iter().all(|&child| !is_there(child)),
        "no zombie is left"
    );
}

fn fifty_pages_take_no_more_memory_than_ten() {
    let Some(renderer) = renderer(Limits::default()) else {
        return;
    };
    let texts: Vec<String> = (0..50).map(|n| format!("This is page {n}")).collect();
    let mut document = open(&renderer, pdfs::lines(&texts));
    let mut resident = Vec::new();
    for page in 0..50 {
        document.render(page, 1275, 1650, &minute()).unwrap();
        resident.push(resident_kib(renderer.children()[0]));
    }
    println!(
        "  the child's memory: {} KiB after 10 pages, {} after 50",
        resident[9], resident[49]
    );
    assert!(resident[49] < resident[9] + 4096, "{resident:?}");
}

fn a_child_ends_with_its_parent() {
    let Some(library) = library() else { return };
    let mut parent = Command::new(std::env::current_exe().unwrap())
        .arg("parent")
        .arg(library)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(parent.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let child: u32 = line.trim().parse().unwrap();
    // By now it draws, and will for minutes.
    std::thread::sleep(Duration::from_millis(300));
    assert!(is_there(child));
    parent.kill().unwrap();
    parent.wait().unwrap();
    let patience = Instant::now() + Duration::from_secs(5);
    // Whoever adopts it may be slow to take a zombie away.
    let runs = |process: u32| {
        std::fs::read_to_string(format!("/proc/{process}/status"))
            .is_ok_and(|status| !status.contains("State:\tZ"))
    };
    while runs(child) {
        assert!(Instant::now() < patience, "it goes on without its parent");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn a_library_that_is_none_is_told_of() {
    let renderer = Renderer::new(launch("/etc/passwd".into()), Limits::default());
    let error = renderer.probe(&minute()).unwrap_err();
    assert!(
        matches!(&error, RenderError::Start(why) if why.contains("/etc/passwd") && why.contains("models fetch pdfium")),
        "{error}"
    );
    let renderer = Renderer::new(
        Launch::new("/no/such/program", ["child"], "/etc/passwd"),
        Limits::default(),
    );
    assert!(matches!(renderer.probe(&minute()), Err(RenderError::Start(_))));
}
