//! A web site on the loopback whose pages a test puts up and changes, and which remembers how it was asked.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::sync::Notify;

/// What a path answers.
#[derive(Debug, Clone)]
pub(super) enum Page {
    /// This text under this entity tag, or that it is unchanged.
    Tagged(String, &'static str),
    /// A status with these headers.
    Status(u16, Vec<(&'static str, &'static str)>),
    /// Nothing, ever.
    Silence,
    /// This text, once the test lets it go.
    Held(String, Arc<Notify>),
}

#[derive(Debug, Default)]
struct Held {
    pages: HashMap<&'static str, Page>,
    asked: Vec<(String, HeaderMap)>,
}

/// The site. Stops with the test's runtime.
#[derive(Debug, Clone)]
pub(super) struct Site {
    address: String,
    held: Arc<Mutex<Held>>,
}

impl Site {
    pub(super) async fn open() -> Self {
        let held = Arc::new(Mutex::new(Held::default()));
        let app = axum::Router::new().fallback(answer).with_state(Arc::clone(&held));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { address, held }
    }

    /// Puts a page up, or another one in its place.
    pub(super) fn put(&self, path: &'static str, page: Page) {
        self.held.lock().unwrap().pages.insert(path, page);
    }

    /// The address of a path.
    pub(super) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.address)
    }

    /// The paths that were asked for, in order.
    pub(super) fn asked(&self) -> Vec<String> {
        self.held.lock().unwrap().asked.iter().map(|(path, _)| path.clone()).collect()
    }

    /// The entity tag that the last request named.
    pub(super) fn last_tag(&self) -> Option<String> {
        let held = self.held.lock().unwrap();
        held.asked.last()?.1.get(header::IF_NONE_MATCH)?.to_str().ok().map(str::to_owned)
    }
}

async fn answer(State(held): State<Arc<Mutex<Held>>>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let page = {
        let mut held = held.lock().unwrap();
        held.asked.push((path.clone(), request.headers().clone()));
        held.pages.get(path.as_str()).cloned()
    };
    match page {
        None => StatusCode::NOT_FOUND.into_response(),
        Some(Page::Silence) => std::future::pending().await,
        Some(Page::Held(text, gate)) => {
            gate.notified().await;
            text.into_response()
        }
        Some(Page::Tagged(_, tag))
            if request.headers().get(header::IF_NONE_MATCH).is_some_and(|is| is == tag) =>
        {
            StatusCode::NOT_MODIFIED.into_response()
        }
        Some(Page::Tagged(text, tag)) => ([(header::ETAG, tag)], text).into_response(),
        Some(Page::Status(status, headers)) => {
            let mut response = StatusCode::from_u16(status).unwrap().into_response();
            for (name, value) in headers {
                response.headers_mut().insert(name, value.parse().unwrap());
            }
            response
        }
    }
}
