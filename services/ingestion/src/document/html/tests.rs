//! Pages, sound and broken, against what a reader would see.

use proptest::prelude::*;

use super::*;

fn text(html: &str) -> String {
    read(html).text
}

#[test]
fn blocks_lists_tables_and_preformatted_text_keep_their_shape() {
    let html = "<h2>Head</h2>\n<p>One <b>bold</b>,\n two.<ul><li>a<li><p>b</p></ul>line<br>end<table><tr><td>1<td>2</tr>\
                <tr><td>3</table><pre>  x\n    y</pre>";
    assert_eq!(text(html), "Head\n\nOne bold, two.\n\n- a\n\n- b\n\nline\nend\n\n1 2\n3\n\n  x\n    y");
}

#[test]
fn entities_are_decoded_and_invisible_hints_dropped() {
    assert_eq!(text("AT&amp;T&nbsp;&lt;3 caf&eacute; &#x2014; in&shy;ter"), "AT&T <3 café — inter");
}

#[test]
fn scripts_styles_and_embedded_objects_are_never_text() {
    let html = "a<script>if (1 < 2) { '<p>no</p>' }</script><style>p{}</style><svg><title>no</title><text>no</text></svg>\
                <button>no</button><noscript>no</noscript><template><p>no</p></template> b<svg/> c";
    let page = read(html);
    assert_eq!((page.text.as_str(), page.title.as_str()), ("a b c", ""));
}

#[test]
fn the_title_is_the_title_element_or_else_the_first_heading_of_the_content() {
    assert_eq!(read("<head><title> A &amp; B </title></head><h1>H</h1>").title.trim(), "A & B");
    assert_eq!(read("<title> </title><h1> </h1><h1>H <i>i</i></h1><h1>later</h1>").title, " H i");
    assert_eq!(read("<nav><h1>Site</h1></nav><h1>H</h1>").title, "H");
}

#[test]
fn what_lies_around_the_content_is_dropped() {
    let html = "<header>Logo</header><nav><ul><li>Home</ul></nav><div>Text</div><aside>Ad</aside>\
                <form><label>Mail</label></form><footer>(c)</footer>";
    assert_eq!(text(html), "Text");
}

#[test]
fn main_is_preferred_then_article_with_its_own_header() {
    assert_eq!(text("<p>x</p><main><article><header><h1>H</h1></header>a</article>b</main>y"), "H\n\na\n\nb");
    assert_eq!(text("<p>x</p><article>one two</article><article>three"), "one two\n\nthree");
    assert_eq!(text("<div>a long text that is the content</div><article>tip</article>").lines().count(), 3);
}

#[test]
fn boilerplate_is_better_than_nothing() {
    assert_eq!(text("<form><p>The whole page</p></form>"), "The whole page");
    assert_eq!(text("<form><nav>n</nav><main>Content</main></form>"), "Content");
}

#[test]
fn an_element_that_is_never_closed_hides_nothing() {
    assert_eq!(text("<nav>menu<p>content</p>"), "menu\n\ncontent");
    assert_eq!(text("<svg><p>content</p>"), "content");
    let page = read("<title>T<p>content</p><p>more");
    assert_eq!((page.title.as_str(), page.text.as_str()), ("T", "content\n\nmore"));
    assert_eq!(text("</p></div><p>a</b></nav>"), "a");
    assert_eq!(text("a < b <p <b>c"), "a < b\n\nc");
}

#[test]
fn a_page_nested_very_deeply_is_read_in_one_pass() {
    for tag in ["div", "b", "table", "nav", "svg", "li", "a", "main"] {
        let html =
            format!("{}text{}", format!("<{tag}>").repeat(100_000), format!("</{tag}>").repeat(100_000));
        assert!(text(&html).len() <= 6, "{tag}");
        assert!(text(&format!("{}text", format!("<{tag}>").repeat(100_000))).ends_with("text"), "{tag}");
    }
}

const PIECES: &[&str] = &[
    "<",
    ">",
    "</",
    "/>",
    "<!--",
    "-->",
    "<![CDATA[",
    "&",
    ";",
    "&amp;",
    "&#x41;",
    "&#0;",
    " ",
    "=",
    "\"",
    "<p>",
    "</p>",
    "<b",
    "<li>",
    "<nav>",
    "</nav>",
    "<main>",
    "</main>",
    "<svg",
    "</svg>",
    "<pre>",
    "<title>",
    "</title>",
    "<script>",
    "</script>",
    "<h1>",
    "</h1>",
    "<form>",
    "<article>",
    "</article>",
    "x",
    "é",
    "漢",
    "\u{a0}",
    "\u{0}",
    "\u{feff}",
    "\n",
];

proptest! {
    #[test]
    fn no_page_makes_it_panic_and_no_text_is_invented(
        pieces in proptest::collection::vec(proptest::sample::select(PIECES), 0..60),
    ) {
        let html = pieces.concat();
        let page = read(&html);
        let letters = |text: &str| text.chars().filter(|c| c.is_alphanumeric()).count();
        prop_assert!(letters(&page.text) <= html.chars().count());
    }

    #[test]
    fn plain_paragraphs_come_back_whole(words in proptest::collection::vec("[a-z]{1,8}", 1..20)) {
        let html: String = words.iter().map(|word| format!("<div><p class=\"c\">{word}</p></div>\n")).collect();
        prop_assert_eq!(text(&html), words.join("\n\n"));
    }
}
