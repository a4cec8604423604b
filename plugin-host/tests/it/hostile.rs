//! Renderers that misbehave: a typed error each, and the host goes on.

use std::io::Write;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use dripline_domain::ids::RouteId;
use dripline_domain::plugin_log::LogLevel;
use dripline_plugin_host::{
    HostOptions, Limits, LogKeeper, LogLine, PluginError, PluginHost, RenderCheckError,
    RenderError, Said,
};

use crate::fixtures::{audience, component, host, host_with};

const HOSTILE: &str = "hostile-renderer";

async fn render(
    host: &PluginHost,
    template: &str,
    names: &[&str],
) -> Result<Vec<Result<String, RenderError>>, PluginError> {
    host.render(HOSTILE, Arc::from(template), audience(names)).await
}

/// Renders `template` for one contact, which must fail, and then something harmless, which must not.
async fn failure(template: &str) -> PluginError {
    failure_on(&host(&[HOSTILE]), template).await
}

async fn failure_on(host: &PluginHost, template: &str) -> PluginError {
    let error = render(host, template, &["Ann"]).await.unwrap_err();
    let texts = render(host, "echo", &["Ann", "Bob"]).await.unwrap();
    assert_eq!(texts, [Ok("Ann".to_owned()), Ok("Bob".to_owned())]);
    error
}

#[tokio::test]
async fn an_infinite_loop_ends_at_its_deadline() {
    let began = Instant::now();
    let error = failure("loop").await;
    let PluginError::Deadline { function: "render", limit, .. } = error else {
        panic!("{error:?}")
    };
    assert_eq!(limit, Duration::from_millis(100));
    assert_eq!(
        error.to_string(),
        "plugin `hostile-renderer` used more than its 100 ms in `render`"
    );
    // Generous, since the machine may be busy: without a deadline it would never end.
    assert!(began.elapsed() < Duration::from_secs(30));
}

#[tokio::test]
async fn a_memory_bomb_ends_at_its_limit() {
    // With time enough to fill its memory on the slowest machine.
    let render_deadline = Duration::from_secs(1);
    let host = host_with(&[HOSTILE], Limits { render_deadline, ..Limits::default() });
    let error = failure_on(&host, "memory").await;
    let PluginError::Memory { limit_bytes, wanted_bytes, .. } = error else { panic!("{error:?}") };
    assert_eq!(limit_bytes, 32 * 1024 * 1024);
    assert!(wanted_bytes > limit_bytes);
    assert!(error.to_string().contains("memory limit 32 MiB, wanted 3"), "{error}");
}

#[tokio::test]
async fn a_panic_is_a_trap_with_its_message() {
    let error = failure("panic").await;
    let PluginError::Trap { message, .. } = &error else { panic!("{error:?}") };
    assert!(message.contains("panicked at"), "{message}");
    assert!(message.ends_with("no message for [number]"), "{message}");
}

#[tokio::test]
async fn deep_recursion_ends_at_its_limit() {
    let error = failure("stack").await;
    // The guest's own stack lies in its memory and may end first.
    assert!(matches!(error, PluginError::Stack { .. } | PluginError::Trap { .. }), "{error:?}");
}

#[tokio::test]
async fn leaving_the_process_is_a_trap() {
    let error = failure("exit").await;
    let PluginError::Trap { message, .. } = &error else { panic!("{error:?}") };
    assert!(message.contains("wasi:cli/exit"), "{message}");
}

#[tokio::test]
async fn an_oversized_output_ends_at_its_limit() {
    let error = failure("huge-output").await;
    let PluginError::Output { limit_bytes, .. } = error else { panic!("{error:?}") };
    assert_eq!(limit_bytes, 2 * 1024 * 1024);
}

#[tokio::test]
async fn an_answer_for_the_wrong_number_of_contacts_is_an_error() {
    let error = failure("wrong-count").await;
    assert!(matches!(error, PluginError::WrongCount { wanted: 1, actual: 0, .. }), "{error:?}");
}

#[tokio::test]
async fn a_text_too_long_for_any_message_costs_that_contact_only() {
    let host = host(&[HOSTILE]);
    let texts = render(&host, "long-text", &["Ann"]).await.unwrap();
    let expected = RenderError::TooLong { limit_bytes: 64 * 1024, actual_bytes: 65 * 1024 };
    assert_eq!(texts, [Err(expected)]);
}

#[tokio::test]
async fn one_poisoned_contact_does_not_cost_the_others_their_texts() {
    let host = host(&[HOSTILE]);
    for (template, code) in [("poison", "plugin_trap"), ("poison-loop", "plugin_deadline")] {
        let mut names = vec!["Ann"; 1200];
        names[700] = "poison";
        let texts = render(&host, template, &names).await.unwrap();
        assert_eq!(texts.len(), names.len());
        for (index, text) in texts.into_iter().enumerate() {
            match text {
                Ok(text) => assert_eq!(text, "Ann"),
                Err(error) => {
                    assert_eq!((index, error.code()), (700, code), "{error}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_renderer_that_fails_on_everybody_is_given_up_early() {
    let host = host(&[HOSTILE]);
    let error = render(&host, "panic", &["Ann"; 500]).await.unwrap_err();
    assert!(matches!(error, PluginError::Trap { .. }), "{error:?}");
}

#[tokio::test]
async fn a_guest_learns_nothing_about_the_world() {
    let host = host(&[HOSTILE]);
    let first = render(&host, "world", &["Ann"]).await.unwrap().remove(0).unwrap();
    assert!(first.starts_with("variables=0 arguments=0 input=false now="), "{first}");
    assert!(first.contains(" elapsed=0 "), "{first}");
    // The same call gives the same text, up to the time at which it was made.
    let second = render(&host, "world", &["Ann"]).await.unwrap().remove(0).unwrap();
    let random = |text: &str| text.rsplit_once("random=").unwrap().1.to_owned();
    assert_eq!(random(&first), random(&second));
}

#[tokio::test]
async fn a_template_is_checked_before_it_is_used() {
    let host = host(&[HOSTILE]);
    assert_eq!(host.check_template(HOSTILE, "fine").await.unwrap(), ["name"]);
    let error = host.check_template(HOSTILE, "broken").await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the template does not fit renderer `hostile-renderer`: line 1, column 2: no such thing"
    );
    let error = host.check_template(HOSTILE, "check-loop").await.unwrap_err();
    assert!(matches!(error, RenderCheckError::Plugin(PluginError::Deadline { .. })), "{error:?}");
    let error = host.check_template("nobody", "fine").await.unwrap_err();
    assert_eq!(error.to_string(), "no plugin `nobody` is loaded");
}

#[tokio::test]
async fn smaller_limits_are_kept_too() {
    let limits = Limits {
        renderer_memory_bytes: 4 * 1024 * 1024,
        render_deadline: Duration::from_millis(20),
        ..Limits::default()
    };
    let host = host_with(&[HOSTILE], limits);
    let error = render(&host, "memory", &["Ann"]).await.unwrap_err();
    assert!(error.to_string().contains("memory limit 4 MiB, wanted "), "{error}");
    let error = render(&host, "loop", &["Ann"]).await.unwrap_err();
    assert!(error.to_string().contains("its 20 ms"), "{error}");
}

#[tokio::test]
async fn a_flood_of_log_lines_is_cut_off() {
    let logged = logged();
    let host = host(&[HOSTILE]);
    render(&host, "log-flood", &["Ann"]).await.unwrap();
    let text = String::from_utf8(logged.lock().unwrap().clone()).unwrap();
    let lines: Vec<&str> = text.lines().filter(|line| line.contains("for [number]")).collect();
    assert_eq!(lines.len(), 20, "{text}");
    // One event, one line, whatever the guest writes.
    assert!(lines.iter().all(|line| line.contains("[number] forged")), "{text}");
    assert!(text.contains("dropped=9981"), "{text}");
}

#[tokio::test]
async fn what_is_logged_is_kept_with_its_route_and_no_flood_of_it() {
    let kept = Arc::new(Kept::default());
    let options = HostOptions { log_keeper: Some(kept.clone()), ..HostOptions::default() };
    let host = PluginHost::new(options).unwrap();
    let info = host.load(HOSTILE, &component(HOSTILE)).unwrap();
    render(&host.on_route(RouteId(7)), "log-flood", &["Ann"]).await.unwrap();
    // Whoever says nothing is not heard of.
    render(&host, "echo", &["Ann"]).await.unwrap();
    render(&host, "log-flood", &["Ann"]).await.unwrap();
    let line = |number| LogLine {
        level: LogLevel::Error,
        message: format!("line {number} for [number] forged"),
    };
    let batch = |route| Batch {
        plugin: HOSTILE.to_owned(),
        digest: info.digest.clone(),
        route,
        lines: (0..20).map(line).collect(),
        dropped: 9_981,
    };
    assert_eq!(*kept.0.lock().unwrap(), [batch(Some(RouteId(7))), batch(None)]);
}

/// Whoever traps gets a new instance for its next call, and no new allowance of lines.
#[tokio::test]
async fn a_batch_logs_no_more_for_having_many_instances() {
    let kept = Arc::new(Kept::default());
    let options = HostOptions { log_keeper: Some(kept.clone()), ..HostOptions::default() };
    let host = PluginHost::new(options).unwrap();
    let info = host.load(HOSTILE, &component(HOSTILE)).unwrap();
    // All together, then halved until each is alone: five calls of ten lines.
    let texts = render(&host, "say-and-panic", &["Ann", "Ben", "Cem"]).await.unwrap();
    for text in &texts {
        assert!(matches!(text, Err(RenderError::Plugin(PluginError::Trap { .. }))), "{text:?}");
    }
    let line =
        |number| LogLine { level: LogLevel::Error, message: format!("line {}", number % 10) };
    let batch = Batch {
        plugin: HOSTILE.to_owned(),
        digest: info.digest,
        route: None,
        lines: (0..20).map(line).collect(),
        dropped: 30,
    };
    assert_eq!(*kept.0.lock().unwrap(), [batch]);
}

/// What was said in a batch.
#[derive(Debug, PartialEq, Eq)]
struct Batch {
    plugin: String,
    digest: String,
    route: Option<RouteId>,
    lines: Vec<LogLine>,
    dropped: u64,
}

#[derive(Debug, Default)]
struct Kept(Mutex<Vec<Batch>>);

impl LogKeeper for Kept {
    fn keep(&self, said: Said<'_>) {
        let Said { plugin, digest, route, lines, dropped } = said;
        let (plugin, digest) = (plugin.to_owned(), digest.to_owned());
        self.0.lock().unwrap().push(Batch { plugin, digest, route, lines, dropped });
    }
}

/// Everything that this process logs.
fn logged() -> Arc<Mutex<Vec<u8>>> {
    static LOGGED: OnceLock<Arc<Mutex<Vec<u8>>>> = OnceLock::new();
    let logged = LOGGED.get_or_init(|| {
        let logged = Arc::new(Mutex::new(Vec::new()));
        let writer = Arc::clone(&logged);
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(move || Shared(Arc::clone(&writer)))
            .finish();
        tracing::subscriber::set_global_default(subscriber).unwrap();
        logged
    });
    Arc::clone(logged)
}

struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
