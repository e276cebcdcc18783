//! Chromium, driven through its debugging pipe.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

/// A page open in a browser of its own.
pub(crate) struct Page {
    child: Child,
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
    session: Option<String>,
    sent: u64,
    events: Vec<Value>,
    /// Goes when the browser has ended.
    pub(crate) folder: Option<TempDir>,
}

impl Page {
    /// Starts a browser without a page.
    pub(crate) fn start() -> Self {
        let folder = TempDir::new().unwrap();
        // Chromium takes commands on descriptor 3 and answers on 4. A browser that hangs is ended.
        let child = Command::new("sh")
            .args(["-c", "exec timeout 120 \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1", "sh"])
            .args(["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"])
            .args(["--disable-background-networking", "--remote-debugging-pipe"])
            .arg(format!("--user-data-dir={}", folder.path().join("profile").display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut page = Self::over(child, folder);
        let target = page.call("Target.createTarget", &json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let session = page.call("Target.attachToTarget", &attach);
        page.session = session["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log"] {
            page.call(&format!("{domain}.enable"), &json!({}));
        }
        // Nothing moves while it is clicked on.
        page.emulate(&[("prefers-reduced-motion", "reduce")], "");
        page
    }

    fn over(mut child: Child, folder: TempDir) -> Self {
        let to = child.stdin.take();
        let from = BufReader::new(child.stdout.take().unwrap());
        Self { child, to, from, session: None, sent: 0, events: Vec::new(), folder: Some(folder) }
    }

    pub(crate) fn emulate(&mut self, features: &[(&str, &str)], media: &str) {
        let each = features.iter().map(|(name, value)| json!({ "name": name, "value": value }));
        let params = json!({ "features": each.collect::<Value>(), "media": media });
        self.call("Emulation.setEmulatedMedia", &params);
    }

    /// Goes to an address, and waits until the page is there.
    pub(crate) fn go(&mut self, url: &str) {
        self.events.clear();
        self.call("Page.navigate", &json!({ "url": url }));
        while !self.events.iter().any(|event| event["method"] == "Page.loadEventFired") {
            let message = self.receive();
            self.events.push(message);
        }
    }

    /// Sends a command and gives its result.
    pub(crate) fn call(&mut self, method: &str, params: &Value) -> Value {
        self.sent += 1;
        let mut message = json!({ "id": self.sent, "method": method, "params": params });
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        let to = self.to.as_mut().unwrap();
        to.write_all(format!("{message}\0").as_bytes()).unwrap();
        loop {
            let answer = self.receive();
            if answer["id"] == self.sent {
                assert!(answer["error"].is_null(), "{method}: {answer}");
                return answer["result"].clone();
            }
            self.events.push(answer);
        }
    }

    fn receive(&mut self) -> Value {
        let mut bytes = Vec::new();
        self.from.read_until(0, &mut bytes).unwrap();
        assert_eq!(bytes.pop(), Some(0), "no answer of Chromium: apt-get install chromium");
        serde_json::from_slice(&bytes).unwrap()
    }

    /// The value of an expression in the page.
    pub(crate) fn value(&mut self, expression: &str) -> Value {
        let params = json!({ "expression": expression, "returnByValue": true });
        let answer = self.call("Runtime.evaluate", &params);
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {answer}");
        answer["result"]["value"].clone()
    }

    /// Waits until the value of an expression in the page is this one.
    pub(crate) fn until(&mut self, expression: &str, expected: impl Into<Value>) {
        let expected = expected.into();
        let end = Instant::now() + Duration::from_secs(10);
        loop {
            let value = self.value(expression);
            if value == expected {
                return;
            }
            assert!(Instant::now() < end, "{expression}: {value} and never {expected}");
            sleep(Duration::from_millis(10));
        }
    }

    /// Clicks in the middle of the first element that a selector names, or of its first line.
    pub(crate) fn click(&mut self, selector: &str) {
        let place = self.value(&format!(
            "(() => {{ const one = document.querySelector({selector:?}); \
             one.scrollIntoView({{ block: 'center', behavior: 'instant' }}); \
             const at = one.getClientRects()[0]; \
             return [at.x + at.width / 2, at.y + at.height / 2]; }})()"
        ));
        for kind in ["mousePressed", "mouseReleased"] {
            let params = json!({ "type": kind, "x": place[0], "y": place[1], "button": "left", "clickCount": 1 });
            self.call("Input.dispatchMouseEvent", &params);
        }
    }

    /// Demands that nothing is wider than the window at any width, and gives ground and ink of the page.
    #[track_caller]
    pub(crate) fn fits(&mut self, scheme: &str) -> String {
        self.emulate(&[("prefers-color-scheme", scheme)], "");
        for width in [320, 768, 1280] {
            let size =
                json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false });
            self.call("Emulation.setDeviceMetricsOverride", &size);
            let wide = self.value("document.documentElement.scrollWidth");
            let outside = "[...document.querySelectorAll('body *')].filter(one => \
                           one.getBoundingClientRect().right > innerWidth + 1) \
                           .map(one => one.outerHTML.slice(0, 90)).slice(0, 9)";
            let outside = self.value(outside);
            assert!(wide.as_u64().unwrap() <= width, "{wide} at {width}: {outside:#}");
        }
        let style = "(({ backgroundColor, color }) => backgroundColor + color)\
                     (getComputedStyle(document.body))";
        self.value(style).to_string()
    }

    /// Everything that the browser complained of: broken policies, errors, messages, dialogs.
    pub(crate) fn complaints(&mut self) -> Vec<String> {
        // An answer shows that what came before it has been told.
        self.value("1");
        let bad = [
            "Log.entryAdded",
            "Runtime.exceptionThrown",
            "Runtime.consoleAPICalled",
            "Page.javascriptDialogOpening",
        ];
        let is_bad = |event: &&Value| bad.iter().any(|one| event["method"] == *one);
        self.events.iter().filter(is_bad).map(ToString::to_string).collect()
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // Without its pipe the browser ends.
        drop(self.to.take());
        let _ = self.child.wait();
        drop(self.folder.take());
    }
}
