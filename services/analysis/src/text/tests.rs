//! The whole analysis of a text: known articles, hostile input, and the same answer every time.

use proptest::prelude::*;

use super::*;

const ARTICLE: &str = "# Storm hits the coast\n\nA **violent** storm hit the northern coast on Monday. Thousands of \
    homes lost\npower, and rail traffic stopped. The weather service had warned of the storm on Sunday. \
    [More](https://example.com/more) is expected.\n\n```\ncurl https://example.com\n```\n\nRescue teams saved forty \
    people from the flooded harbour. The storm is moving east.";

#[test]
fn an_article_is_analysed_in_every_respect() {
    let analysis = analyze("Storm hits the coast", ARTICLE);
    assert_eq!(analysis.language.as_ref().map(|language| language.code.as_str()), Some("en"));
    assert!(analysis.keywords[0].text.to_lowercase().contains("storm"), "{:?}", analysis.keywords);
    assert!((analysis.keywords[0].score - 1.0).abs() < f64::EPSILON);
    assert!(analysis.summary.contains("storm") && !analysis.summary.contains("curl"), "{}", analysis.summary);
    assert_eq!(analysis.sentiment.map(|sentiment| sentiment.label), Some(Label::Negative));
    let readability = analysis.readability.unwrap();
    assert!((40.0..100.0).contains(&readability.flesch_reading_ease), "{readability:?}");
    assert_eq!((analysis.word_count, analysis.sentence_count), (49, 7));
    assert_eq!(analysis.reading_time_seconds, 13);
    let shown = serde_json::to_string(&analysis).unwrap();
    assert!(!shown.contains("http") && !shown.contains("**"), "{shown}");
    assert_eq!(serde_json::from_str::<TextAnalysis>(&shown).unwrap(), analysis);
}

#[test]
fn what_is_known_of_english_only_is_not_said_of_german() {
    let german = "Der Sturm hat am Montag die nördliche Küste getroffen. Tausende Häuser hatten keinen Strom, und der \
        Verkehr mit der Bahn wurde eingestellt.";
    let analysis = analyze("Sturm an der Küste", german);
    assert_eq!(analysis.language.as_ref().map(|language| language.code.as_str()), Some("de"));
    assert_eq!((analysis.sentiment, analysis.readability), (None, None));
    assert!(analysis.keywords.iter().all(|keyword| !["der", "und", "am"].contains(&keyword.text.as_str())));
}

#[test]
fn texts_of_every_kind_are_survived() {
    let empty = analyze("", "");
    assert_eq!((empty.word_count, empty.sentence_count, empty.summary.as_str()), (0, 0, ""));
    assert_eq!((empty.language, empty.readability, empty.keywords), (None, None, vec![]));
    assert_eq!(analyze("Only a title here", "").word_count, 4);
    assert_eq!(analyze("", "word").word_count, 1);
    let chinese = analyze("", "敏捷的棕色狐狸跳过了懒狗。大家都在看这只狐狸。");
    assert_eq!((chinese.language.unwrap().code.as_str(), chinese.sentence_count), ("zh", 2));
    assert!(!chinese.keywords.is_empty() && !chinese.summary.is_empty());
    let emoji = analyze("🎉", "🎉🎉 👨‍👩‍👧‍👦 🇩🇪!");
    assert_eq!((emoji.word_count, emoji.language), (0, None));
    let hebrew = analyze("", "השועל החום המהיר קופץ מעל הכלב העצלן. כולם רואים את זה.");
    assert_eq!((hebrew.language.unwrap().code.as_str(), hebrew.sentence_count), ("he", 2));
}

#[test]
fn a_mebibyte_of_anything_is_survived() {
    let patterns = [
        "a",
        "great ",
        "It is so bad. ",
        "<a",
        "[",
        "*",
        "> ",
        "# ",
        "`",
        "://",
        "www.",
        "狐",
        "a&amp;<br>",
        "Dr. ",
    ];
    for pattern in patterns {
        let text = pattern.repeat((1 << 20) / pattern.len());
        let analysis = analyze("", &text);
        assert!(analysis.summary.chars().count() <= 3 * 602, "{pattern}");
    }
}

proptest! {
    #[test]
    fn no_text_breaks_the_analyser_and_every_score_is_in_its_range(
        title in "\\PC{0,60}",
        body in "([A-Za-z]{1,8} |[.!?] |\n|\\PC){0,200}",
    ) {
        let analysis = analyze(&title, &body);
        prop_assert_eq!(&analysis, &analyze(&title, &body));
        prop_assert!(analysis.keywords.len() <= 10);
        prop_assert!(analysis.keywords.iter().all(|keyword| (0.0..=1.0).contains(&keyword.score)));
        prop_assert!(analysis.keywords.is_sorted_by(|one, other| one.score >= other.score));
        prop_assert!(analysis.sentiment.is_none_or(|sentiment| (-1.0..=1.0).contains(&sentiment.score)));
        prop_assert!(analysis.language.is_none_or(|language| (0.0..=1.0).contains(&language.confidence)));
        prop_assert!(analysis.word_count >= analysis.sentence_count.min(1));
    }
}
