//! From the contract's exported resources, whose methods take `&self`, to the traits of this crate.

use crate::adapter::{Adapter, Item, OpenOptions};
use crate::bindings::{input_adapter, output_formatter, page_processor};
use crate::formatter::Formatter;
use crate::processor::{DocumentEdit, Edit, Processor};
use crate::source::Source;
use crate::{Config, DocInfo, Error, Page, host, log};
use std::cell::RefCell;

/// A [`Formatter`] as the host sees it.
pub struct FormatterSession<T>(RefCell<T>);

impl<T: Formatter + 'static> output_formatter::formatter::GuestSession for FormatterSession<T> {
    fn open(doc: DocInfo, config_json: String) -> Result<output_formatter::formatter::Session, Error> {
        log::report_panics();
        let session = T::open(&doc, Config::new(config_json))?;
        Ok(output_formatter::formatter::Session::new(Self(RefCell::new(
            session,
        ))))
    }

    fn add_page(&self, page: &host::Page) -> Result<(), Error> {
        self.0.borrow_mut().page(&Page::lent(page))
    }

    fn finish(this: output_formatter::formatter::Session) -> Result<(), Error> {
        this.into_inner::<Self>().0.into_inner().finish()
    }
}

/// An [`Adapter`] as the host sees it.
pub struct AdapterDocument<T>(RefCell<T>);

impl<T: Adapter + 'static> input_adapter::adapter::GuestDocument for AdapterDocument<T> {
    fn open(
        source: host::Source,
        options: input_adapter::adapter::OpenOptions,
    ) -> Result<input_adapter::adapter::Document, Error> {
        log::report_panics();
        let options = OpenOptions {
            config: Config::new(options.config_json),
            password: options.password,
        };
        let document = T::open(Source(source), options)?;
        Ok(input_adapter::adapter::Document::new(Self(RefCell::new(
            document,
        ))))
    }

    fn info(&self) -> DocInfo {
        self.0.borrow().info()
    }

    fn read(&self, index: u32, dpi: f32) -> Result<Option<input_adapter::adapter::Item>, Error> {
        Ok(self.0.borrow_mut().read(index, dpi)?.map(|item| match item {
            Item::Page(p) => input_adapter::adapter::Item::Page(input_adapter::adapter::InputPage {
                image: p.image.0,
                dpi: p.dpi,
                width_points: p.width_points,
                height_points: p.height_points,
                text_layer: p.text_layer,
            }),
            Item::Embedded(source) => input_adapter::adapter::Item::Embedded(source.0),
        }))
    }
}

/// A [`Processor`] as the host sees it.
pub struct ProcessorSession<T>(RefCell<T>);

impl<T: Processor + 'static> page_processor::processor::GuestSession for ProcessorSession<T> {
    fn open(doc: DocInfo, config_json: String) -> Result<page_processor::processor::Session, Error> {
        log::report_panics();
        let session = T::open(&doc, Config::new(config_json))?;
        Ok(page_processor::processor::Session::new(Self(RefCell::new(
            session,
        ))))
    }

    fn edit_document(&self) -> Result<Vec<DocumentEdit>, Error> {
        self.0.borrow_mut().edit_document()
    }

    fn process(&self, page: &host::Page) -> Result<Vec<Edit>, Error> {
        self.0.borrow_mut().process(&Page::lent(page))
    }
}
