//! How much happened when, as a chart: one bar an hour or a day, what failed marked at its foot.

use super::Html;
use super::events::has_failed;
use super::parts::{counted, table};
use crate::broker::Glance;
use crate::clock::Timestamp;

/// How far back a chart looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::daemon) enum Span {
    /// 24 hours.
    #[default]
    Day,
    /// 14 days.
    Fortnight,
}

impl Span {
    pub(super) const ALL: [Self; 2] = [Self::Day, Self::Fortnight];

    /// The name in an address.
    pub(in crate::daemon) fn as_str(self) -> &'static str {
        match self {
            Self::Day => "24h",
            Self::Fortnight => "14d",
        }
    }

    /// The span of an address; the shorter one for anything unknown.
    pub(in crate::daemon) fn parse(text: &str) -> Self {
        Self::ALL.into_iter().find(|span| span.as_str() == text).unwrap_or_default()
    }

    /// Its name for people.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Day => "Last 24 hours",
            Self::Fortnight => "Last 14 days",
        }
    }

    fn unit(self) -> &'static str {
        match self {
            Self::Day => "hour",
            Self::Fortnight => "day",
        }
    }

    /// Seconds of a bar, and how many bars there are. Hours and days are those of UTC.
    fn bars(self) -> (i64, usize) {
        match self {
            Self::Day => (3600, 24),
            Self::Fortnight => (86_400, 14),
        }
    }

    /// The name of a bar that begins at `start`.
    fn label(self, start: Timestamp) -> String {
        let text = start.to_string();
        let (date, time) = (text.get(..10).unwrap_or_default(), text.get(11..16).unwrap_or_default());
        match self {
            Self::Day => format!("{time} UTC"),
            Self::Fortnight => date.to_owned(),
        }
    }
}

/// Events of one bar.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Bar {
    all: usize,
    failed: usize,
}

/// Events counted by hour or day.
#[derive(Debug)]
pub(in crate::daemon) struct Activity {
    span: Span,
    /// Number of the current hour or day since 1970.
    current: i64,
    /// From the oldest to the current one.
    bars: Vec<Bar>,
    /// Events before this one were not counted.
    counted_since: Option<Timestamp>,
}

impl Activity {
    /// Nothing yet, up to `now`.
    pub(in crate::daemon) fn new(span: Span, now: Timestamp) -> Self {
        let (seconds, count) = span.bars();
        let current = now.unix().div_euclid(seconds);
        Self { span, current, bars: vec![Bar::default(); count], counted_since: None }
    }

    /// Counts an event, unless it is from another time.
    pub(in crate::daemon) fn count(&mut self, glance: &Glance) {
        let age = self.current - glance.timestamp.unix().div_euclid(self.span.bars().0);
        let bar = usize::try_from(age).ok().and_then(|age| self.bars.len().checked_sub(age + 1));
        if let Some(bar) = bar.and_then(|bar| self.bars.get_mut(bar)) {
            bar.all += 1;
            bar.failed += usize::from(has_failed(&glance.event, glance.status.as_deref()));
        }
    }

    /// Says that nothing before `since` was looked at.
    pub(in crate::daemon) fn counted_since(&mut self, since: Timestamp) {
        self.counted_since = Some(since).filter(|since| *since > self.start(0));
    }

    /// When a bar begins.
    fn start(&self, bar: usize) -> Timestamp {
        let age = i64::try_from(self.bars.len() - 1 - bar).unwrap_or_default();
        let start = (self.current - age).saturating_mul(self.span.bars().0);
        Timestamp::from_unix(start).unwrap_or_else(|| Timestamp::from_unix(0).expect("1970 can be written"))
    }

    fn total(&self) -> Bar {
        let sum = |of: fn(&Bar) -> usize| self.bars.iter().map(of).sum();
        Bar { all: sum(|bar| bar.all), failed: sum(|bar| bar.failed) }
    }

    fn most(&self) -> usize {
        self.bars.iter().map(|bar| bar.all).max().unwrap_or_default()
    }
}

/// What stands in words for the chart.
fn summary(activity: &Activity) -> String {
    let (total, most, span) = (activity.total(), activity.most(), activity.span);
    let text = format!("{} in the {}, {} failed", events(total.all), span.title().to_lowercase(), total.failed);
    match activity.bars.iter().position(|bar| bar.all == most && most > 0) {
        Some(busiest) => {
            let label = span.label(activity.start(busiest));
            format!("{text}; the most in one {}: {most} ({label})", span.unit())
        }
        None => text,
    }
}

fn events(count: usize) -> String {
    counted(u64::try_from(count).unwrap_or(u64::MAX), "event")
}

/// Draws the chart, with the same in words and as a table.
pub(super) fn chart(html: &mut Html, activity: &Activity) {
    let words = summary(activity);
    if activity.total().all > 0 {
        html.element("figure", &[("class", "chart")], |html| {
            drawing(html, activity, &words);
            html.element("div", &[("class", "axis quiet"), ("aria-hidden", "true")], |html| {
                for bar in [0, activity.bars.len() / 2, activity.bars.len() - 1] {
                    html.element("span", &[], |html| html.text(&activity.span.label(activity.start(bar))));
                }
            });
        });
    }
    html.element("p", &[("class", "quiet")], |html| html.text(&format!("{words}.")));
    if let Some(since) = activity.counted_since {
        let since = since.to_string();
        let since = since.get(..16).unwrap_or_default().replace('T', " ");
        html.element("p", &[("class", "quiet")], |html| {
            html.text(&format!(
                "That is a part: there is more than can be counted here, and this is since {since} UTC."
            ));
        });
    }
    if activity.total().all > 0 {
        numbers(html, activity);
    }
}

/// Of the drawing's own units.
const HEIGHT: usize = 100;
const BAR: usize = 10;
const GAP: usize = 2;

fn drawing(html: &mut Html, activity: &Activity, words: &str) {
    let width = activity.bars.len() * (BAR + GAP) - GAP;
    let view = format!("0 0 {width} {HEIGHT}");
    let attributes = [
        ("role", "img"),
        ("aria-labelledby", "chart-title chart-words"),
        ("viewBox", view.as_str()),
        ("preserveAspectRatio", "none"),
    ];
    html.element("svg", &attributes, |html| {
        html.element("title", &[("id", "chart-title")], |html| {
            html.text(&format!("{}: events by {}", activity.span.title(), activity.span.unit()));
        });
        html.element("desc", &[("id", "chart-words")], |html| html.text(words));
        for (index, bar) in activity.bars.iter().enumerate() {
            html.element("g", &[], |html| {
                let label = activity.span.label(activity.start(index));
                html.element("title", &[], |html| {
                    html.text(&format!("{label}: {}, {} failed", events(bar.all), bar.failed));
                });
                let x = index * (BAR + GAP);
                // Where the pointer finds the numbers of a bar that is low, or empty.
                rectangle(html, "all", x, (0, HEIGHT));
                let (failed, good) = heights(*bar, activity.most());
                rectangle(html, "good", x, (HEIGHT - failed - good, good));
                rectangle(html, "bad", x, (HEIGHT - failed, failed));
            });
        }
    });
}

/// How high the parts of a bar are, what failed first. One event can be seen beside a thousand.
fn heights(bar: Bar, most: usize) -> (usize, usize) {
    const LOWEST: usize = 3;
    let height = |count: usize| if count == 0 { 0 } else { (count * HEIGHT / most.max(1)).max(LOWEST) };
    let failed = height(bar.failed);
    (failed, height(bar.all - bar.failed).min(HEIGHT - failed))
}

fn rectangle(html: &mut Html, class: &str, x: usize, (y, height): (usize, usize)) {
    if height > 0 {
        let [x, y, width, height] = [x, y, BAR, height].map(|number| number.to_string());
        let attributes =
            [("class", class), ("x", x.as_str()), ("y", &y), ("width", &width), ("height", height.as_str())];
        html.element("rect", &attributes, |_| {});
    }
}

/// The bars that are not empty as a table, closed until somebody wants it.
fn numbers(html: &mut Html, activity: &Activity) {
    html.element("details", &[], |html| {
        html.element("summary", &[], |html| html.text("The numbers"));
        let first = if activity.span == Span::Day { "Hour" } else { "Day" };
        table(html, "Events", &[first, "Events", "Failed"], |rows| {
            for (index, bar) in activity.bars.iter().enumerate().rev().filter(|(_, bar)| bar.all > 0) {
                rows.row(|cells| {
                    cells.text(&activity.span.label(activity.start(index)));
                    cells.text(&bar.all.to_string());
                    cells.text(&bar.failed.to_string());
                });
            }
        });
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: i64 = 1_769_860_800; // 2026-01-31T12:00:00Z

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix(seconds).expect("in range")
    }

    fn glance(seconds: i64, status: &str) -> Glance {
        Glance {
            timestamp: at(seconds),
            event: "proxy.request".to_owned(),
            identity: None,
            provider: None,
            status: Some(status.to_owned()),
        }
    }

    /// The bars that are not empty, by their age.
    fn counted(span: Span, now: i64, events: &[(i64, &str)]) -> Vec<(usize, usize, usize)> {
        let mut activity = Activity::new(span, at(now));
        for (seconds, status) in events {
            activity.count(&glance(*seconds, status));
        }
        let ages = activity.bars.iter().rev().enumerate();
        ages.filter(|(_, bar)| bar.all > 0).map(|(age, bar)| (age, bar.all, bar.failed)).collect()
    }

    #[test]
    fn an_event_counts_in_the_hour_it_happened_in() {
        let counted = |events: &[(i64, &str)]| counted(Span::Day, NOON + 1800, events);
        assert_eq!(counted(&[(NOON, "200"), (NOON + 1800, "200")]), [(0, 2, 0)], "the hour begins with its border");
        assert_eq!(counted(&[(NOON - 1, "200"), (NOON, "500")]), [(0, 1, 1), (1, 1, 0)]);
        assert_eq!(counted(&[(NOON + 3599, "200")]), [(0, 1, 0)], "a clock that was moved");
        assert_eq!(counted(&[(NOON + 3600, "200")]), [], "and one that was moved far");
        assert_eq!(counted(&[(NOON - 23 * 3600, "404")]), [(23, 1, 1)], "the first second of the oldest hour");
        assert_eq!(counted(&[(NOON - 23 * 3600 - 1, "200")]), [], "and the second before it");
    }

    #[test]
    fn days_are_those_of_utc() {
        let midnight = NOON - 12 * 3600;
        let counted = |events: &[(i64, &str)]| counted(Span::Fortnight, NOON, events);
        assert_eq!(counted(&[(midnight, "200"), (midnight - 1, "200")]), [(0, 1, 0), (1, 1, 0)]);
        assert_eq!(counted(&[(midnight - 13 * 86_400, "200"), (midnight - 13 * 86_400 - 1, "200")]), [(13, 1, 0)]);
    }

    #[test]
    fn the_same_stands_there_in_words_and_numbers() {
        let mut activity = Activity::new(Span::Day, at(NOON));
        for (seconds, status) in [(NOON, "200"), (NOON - 3600, "200"), (NOON - 3601, "502"), (NOON - 7200, "200")] {
            activity.count(&glance(seconds, status));
        }
        assert_eq!(summary(&activity), "4 events in the last 24 hours, 1 failed; the most in one hour: 2 (10:00 UTC)");
        let mut html = Html::new();
        chart(&mut html, &activity);
        let text = html.as_str();
        for part in [
            "role=\"img\"",
            "<title>10:00 UTC: 2 events, 1 failed</title>",
            "<title>13:00 UTC: 0 events, 0 failed</title>",
            "<td data-label=\"Hour\">11:00 UTC</td><td data-label=\"Events\">1</td><td data-label=\"Failed\">0</td>",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains("style=") && !text.contains("That is a part"), "{text}");
    }

    #[test]
    fn what_was_not_counted_is_said() {
        let mut html = Html::new();
        let mut activity = Activity::new(Span::Day, at(NOON));
        activity.counted_since(at(NOON - 86_400 * 3));
        chart(&mut html, &activity);
        assert!(!html.as_str().contains("That is a part"), "all that is drawn was counted");
        activity.count(&glance(NOON, "200"));
        activity.counted_since(at(NOON - 60));
        chart(&mut html, &activity);
        assert!(html.as_str().contains("this is since 2026-01-31 11:59 UTC."), "{}", html.as_str());
    }

    #[test]
    fn a_bar_fits_and_one_event_can_be_seen() {
        assert_eq!(heights(Bar::default(), 0), (0, 0));
        assert_eq!(heights(Bar { all: 10, failed: 0 }, 10), (0, 100));
        assert_eq!(heights(Bar { all: 10, failed: 4 }, 10), (40, 60));
        assert_eq!(heights(Bar { all: 1000, failed: 1 }, 1000), (3, 97));
        assert_eq!(heights(Bar { all: 2, failed: 1 }, 5000), (3, 3));
    }
}
