//! Capability `ocr.recognize`: read regions of an image again on the host's engine.

pub use crate::bindings::host::ocr::{Recognition, Region, Task};
use crate::image::Image;
use crate::{HostError, host};

/// Reads `regions` of `image`; one answer a region, in their order. Hand over all regions at once, so that the host
/// can batch them.
pub fn recognize(
    image: &Image,
    regions: &[Region],
) -> Result<Vec<Result<Recognition, HostError>>, HostError> {
    host::ocr::recognize(&image.0, regions)
}
