//! The files of the page, as they are in `gateway/console`, and the headers with which every answer goes out.

use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, Response, header},
};

/// What the page may load and do: only what this port serves, no inline script or style, no text as HTML, and no frame around it.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
     trusted-types 'none'";

const HTML: &str = "text/html; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// A file of the page.
pub struct Asset {
    /// Its path.
    pub path: &'static str,
    content_type: &'static str,
    content: &'static str,
}

macro_rules! assets {
    ($($path:literal $name:literal $content_type:ident),* $(,)?) => {
        /// Every file of the page.
        pub const ASSETS: &[Asset] = &[
            $(Asset { path: $path, content_type: $content_type, content: include_str!(concat!("../../console/", $name)) }),*
        ];
    };
}

assets! {
    "/" "index.html" HTML,
    "/console.css" "console.css" CSS,
    "/icon.svg" "icon.svg" SVG,
    "/main.js" "main.js" JAVASCRIPT,
    "/dom.js" "dom.js" JAVASCRIPT,
    "/api.js" "api.js" JAVASCRIPT,
    "/text.js" "text.js" JAVASCRIPT,
    "/list.js" "list.js" JAVASCRIPT,
    "/chart.js" "chart.js" JAVASCRIPT,
    "/mqtt.js" "mqtt.js" JAVASCRIPT,
    "/attempts.js" "attempts.js" JAVASCRIPT,
    "/connections.js" "connections.js" JAVASCRIPT,
    "/client.js" "client.js" JAVASCRIPT,
    "/readings.js" "readings.js" JAVASCRIPT,
    "/policy.js" "policy.js" JAVASCRIPT,
    "/authorizers.js" "authorizers.js" JAVASCRIPT,
    "/data.js" "data.js" JAVASCRIPT,
}

/// The answer with the file at this path.
#[must_use]
pub fn find(path: &str) -> Option<Response<Body>> {
    let asset = ASSETS.iter().find(|asset| asset.path == path)?;
    let mut response = Response::new(Body::from(asset.content));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(asset.content_type));
    Some(response)
}

/// Adds the headers that every answer has.
pub fn secure(headers: &mut HeaderMap) {
    let all: [(HeaderName, &'static str); 7] = [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        // The link has the token.
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ];
    headers.extend(all.map(|(name, value)| (name, HeaderValue::from_static(value))));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_paint_takes_less_than_200_kb() {
        let bytes = ASSETS.iter().map(|asset| asset.content.len()).sum::<usize>();
        assert!(bytes < 200_000, "{bytes}");
    }

    /// Text of others becomes a text node, or the value of an attribute that runs nothing.
    #[test]
    fn no_script_writes_html_or_loads_anything_from_elsewhere() {
        let forbidden = [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "DOMParser",
            "createContextualFragment",
            "eval(",
            "new Function",
            "srcdoc",
            "javascript:",
            "https://",
            "setHTML",
            ".cssText",
            "setAttribute(\"style\"",
            "setAttribute(\"on",
            "//cdn",
        ];
        for asset in ASSETS {
            for word in forbidden {
                assert!(!asset.content.contains(word), "{} has {word}", asset.path);
            }
        }
        let html = ASSETS[0].content;
        assert!(!html.contains("<style") && !html.contains("style=") && !html.contains(" on"), "{html}");
    }

    #[test]
    fn every_file_of_the_folder_is_served() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("console");
        let is_asset =
            |name: &str| ["html", "css", "js", "svg"].iter().any(|end| name.ends_with(&format!(".{end}")));
        let names =
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names = names.filter(|name| is_asset(name)).collect::<Vec<_>>();
        names.sort();
        let mut served =
            ASSETS.iter().map(|asset| asset.path.trim_start_matches('/').to_owned()).collect::<Vec<_>>();
        served[0] = "index.html".to_owned();
        served.sort();
        assert_eq!(names, served);
    }
}
