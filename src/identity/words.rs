//! The words that handles are made of. Lists of 128, so that seven random bits choose one without bias.

/// Short, friendly, and hard to mistake for one another when read aloud.
#[rustfmt::skip]
pub(super) const ADJECTIVES: [&str; 128] = [
    "able", "agile", "airy", "alert", "amber", "ample", "apt", "arctic",
    "ardent", "artful", "astute", "azure", "balmy", "bold", "bonny", "brave",
    "breezy", "bright", "brisk", "bronze", "calm", "candid", "careful", "cheery",
    "chief", "civil", "clear", "clever", "coastal", "cobalt", "copper", "coral",
    "cosmic", "cozy", "crafty", "crimson", "crisp", "curious", "dapper", "daring",
    "dawning", "deft", "dewy", "eager", "early", "earnest", "elder", "elegant",
    "fabled", "fair", "famous", "fearless", "festive", "fleet", "floral", "fluent",
    "fond", "frank", "fresh", "frosty", "gallant", "gentle", "gifted", "glad",
    "golden", "grand", "hardy", "hazel", "hearty", "honest", "humble", "indigo",
    "ivory", "jade", "jaunty", "jolly", "keen", "kind", "lavish", "limber",
    "lively", "loyal", "lucid", "lunar", "mellow", "merry", "mighty", "mint",
    "modest", "mossy", "nimble", "noble", "novel", "oaken", "opal", "patient",
    "pearly", "placid", "plucky", "polar", "prime", "proud", "quaint", "quiet",
    "radiant", "rapid", "regal", "rosy", "rustic", "sage", "serene", "sharp",
    "silver", "smart", "snug", "solar", "solid", "spry", "steady", "sunny",
    "swift", "tidy", "topaz", "trusty", "velvet", "vivid", "witty", "zesty",
];

/// Used twice in a handle.
#[rustfmt::skip]
pub(super) const ADVERBS: [&str; 128] = [
    "aptly", "ardently", "avidly", "barely", "boldly", "bravely", "brightly", "briskly",
    "broadly", "calmly", "candidly", "carefully", "cheaply", "clearly", "cleverly", "closely",
    "coolly", "cosily", "coyly", "crisply", "daily", "daintily", "daringly", "dearly",
    "deeply", "deftly", "directly", "dreamily", "drily", "duly", "eagerly", "earnestly",
    "easily", "evenly", "exactly", "fairly", "faithfully", "fastidiously", "finely", "firmly",
    "fleetly", "fluently", "fondly", "frankly", "freely", "freshly", "fully", "gaily",
    "gamely", "gently", "gladly", "globally", "goodly", "grandly", "greatly", "handily",
    "happily", "heartily", "highly", "honestly", "hourly", "humbly", "ideally", "intently",
    "jointly", "jovially", "justly", "keenly", "kindly", "largely", "lately", "lightly",
    "likely", "lively", "locally", "loosely", "loudly", "loyally", "lucidly", "luckily",
    "mainly", "meekly", "mellowly", "merrily", "mildly", "monthly", "mostly", "mutually",
    "namely", "nearly", "neatly", "newly", "nicely", "nightly", "nimbly", "nobly",
    "notably", "openly", "partly", "patiently", "plainly", "politely", "promptly", "proudly",
    "purely", "quickly", "quietly", "rarely", "readily", "really", "richly", "rightly",
    "safely", "sagely", "serenely", "sharply", "silently", "simply", "smoothly", "softly",
    "soundly", "steadily", "sweetly", "swiftly", "tidily", "truly", "warmly", "wisely",
];
