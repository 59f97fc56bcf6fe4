//! Topic filters of access rules, with placeholders.

use iot_policy::limits::{MAX_TOPIC_BYTES, MAX_TOPIC_SLASHES};

use super::User;

/// A topic filter in which `+` and `#` are MQTT's wildcards, and levels may have placeholders.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Filter {
    text: String,
    levels: Vec<Level>,
}

/// The names of the placeholders for the user's name and for the client id.
pub(crate) type Placeholders = (&'static str, &'static str);

/// Why a text is not a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FilterError {
    #[error("the topic is empty")]
    Empty,
    #[error("`#` is allowed as the last level only")]
    HashInside,
    #[error("a wildcard is a whole level")]
    PartOfALevel,
}

/// Why a grant can't have a filter, whatever the rule. The text says what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unfit {
    #[error(
        "AWS reserves topics that begin with `$`, and has no `$SYS`: use IoT Core's metrics in CloudWatch; if you mean a \
         topic of AWS's, write it into a grant by hand"
    )]
    Reserved,
    #[error("a topic has at most {MAX_TOPIC_SLASHES} slashes on AWS: use a shorter one")]
    Slashes,
    #[error("a topic has at most {MAX_TOPIC_BYTES} bytes on AWS: use a shorter one")]
    Long,
    #[error("a topic in a grant is visible ASCII without spaces, `*`, `?`, `{{` and `}}`: use another one")]
    Characters,
    #[error(
        "a grant has no wildcard for one level of what is published: its `*` also matches `/`; list the topics, or write \
         `*` into the grant by hand if more levels do no harm"
    )]
    PlusInPublish,
    #[error(
        "a grant can't allow every topic: its `*` would also match AWS's own topics, as those of all shadows and jobs; \
         list the first levels that your devices use"
    )]
    EveryTopic,
    #[error(
        "the client id is a part of a level, or a wildcard comes before it, and the user may have several client ids: name \
         the one that it has with `--client-id`, or change the topic so that `%c` is a whole level without a wildcard \
         before it"
    )]
    ClientId,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Level {
    /// A level without wildcards; most have one piece.
    Text(Vec<Piece>),
    Plus,
    Hash,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Piece {
    Text(String),
    Device,
    ClientId,
}

/// A level for a certain user.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Known {
    Text(String),
    /// The client id, which is not known.
    ClientId,
    /// A text with a client id that is not known.
    Unknown,
    Plus,
    Hash,
}

/// How the values of placeholders are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// As placeholders of a grant, so that many users can have one grant. A whole level with the user's own name is one too:
    /// what is said of each user by name is then one grant.
    PlaceholdersAndOwnName,
    /// As placeholders of a grant.
    Placeholders,
    /// As the values themselves.
    Values,
}

/// What a grant needs for a filter.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Topics {
    /// Topic filters to subscribe to.
    pub(crate) subscribe: Vec<String>,
    /// Topics to publish to, or to receive from.
    pub(crate) topics: Vec<String>,
}

impl Filter {
    /// Reads a filter. Without placeholders, `%` and `$` have no meaning.
    pub(crate) fn new(text: &str, placeholders: Option<Placeholders>) -> Result<Self, FilterError> {
        if text.is_empty() {
            return Err(FilterError::Empty);
        }
        let count = text.split('/').count();
        let levels = text.split('/').zip(1..).map(|(level, number)| match level {
            "#" if number == count => Ok(Level::Hash),
            "#" => Err(FilterError::HashInside),
            "+" => Ok(Level::Plus),
            level if level.contains(['#', '+']) => Err(FilterError::PartOfALevel),
            level => Ok(Level::Text(pieces(level, placeholders))),
        });
        Ok(Self { levels: levels.collect::<Result<_, _>>()?, text: text.to_owned() })
    }

    /// `#`: everything but topics that begin with `$`.
    pub(crate) fn everything() -> Self {
        Self { text: "#".to_owned(), levels: vec![Level::Hash] }
    }

    /// The filter as it was written.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    pub(crate) fn has_wildcard(&self) -> bool {
        self.levels.iter().any(|level| matches!(level, Level::Plus | Level::Hash))
    }

    /// Whether a topic may match both, for this user.
    pub(crate) fn overlaps(&self, other: &Self, user: User<'_>) -> bool {
        let (one, other) = (self.known(user), other.known(user));
        !differ_by_dollar(&one, &other) && overlap(&one, &other)
    }

    /// Whether every topic that matches `other` is sure to match this one too, for this user.
    pub(crate) fn covers(&self, other: &Self, user: User<'_>) -> bool {
        let (one, other) = (self.known(user), other.known(user));
        !differ_by_dollar(&one, &other) && covers(&one, &other)
    }

    /// The topics to publish to.
    pub(crate) fn to_publish(&self, user: User<'_>, form: Form) -> Result<Vec<String>, Unfit> {
        let levels = self.written(user, form)?;
        if matches!(self.levels.first(), Some(Level::Plus | Level::Hash)) {
            return Err(Unfit::EveryTopic);
        }
        if self.has_inner_plus() {
            return Err(Unfit::PlusInPublish);
        }
        Ok(with_parent(&self.levels, &levels))
    }

    /// The filters to subscribe to, and the topics to receive from.
    ///
    /// A subscription is what keeps a device from reading more than the rule says. So a filter with a wildcard that a policy
    /// does not have is there as the client sends it, and only the topics to receive from are wider.
    pub(crate) fn to_read(&self, is_exact: bool, user: User<'_>, form: Form) -> Result<Topics, Unfit> {
        let levels = self.written(user, form)?;
        let is_open = matches!(self.levels.first(), Some(Level::Plus | Level::Hash));
        if !is_open && !self.has_inner_plus() {
            let topics = with_parent(&self.levels, &levels);
            let literal = || vec![self.literal(user, form)];
            let subscribe = if is_exact { literal() } else { topics.clone() };
            return Ok(Topics { subscribe, topics });
        }
        let mut subscribe = vec![self.literal(user, form)];
        if let ([.., Level::Hash], Some((parent, _)), false) =
            (self.levels.as_slice(), subscribe.first().and_then(|text| text.rsplit_once('/')), is_exact)
        {
            subscribe.push(parent.to_owned());
        }
        Ok(Topics { subscribe, topics: with_parent(&self.levels, &levels) })
    }

    /// A `+` that `*` can't stand for: one with something other than `+` and a final `#` after it.
    fn has_inner_plus(&self) -> bool {
        let mut rest = self.levels.iter().skip_while(|level| **level != Level::Plus).peekable();
        rest.peek().is_some()
            && !(rest.all(|level| matches!(level, Level::Plus | Level::Hash)) && self.ends_with_hash())
    }

    fn ends_with_hash(&self) -> bool {
        self.levels.last() == Some(&Level::Hash)
    }

    /// The filter as a client sends it, with placeholders.
    fn literal(&self, user: User<'_>, form: Form) -> String {
        let levels = self.levels.iter().map(|level| match level {
            Level::Plus => "+".to_owned(),
            Level::Hash => "#".to_owned(),
            Level::Text(pieces) => match placeholder(pieces, user, form) {
                Some(placeholder) => placeholder.to_owned(),
                None => value(pieces, user).unwrap_or_default(),
            },
        });
        levels.collect::<Vec<_>>().join("/")
    }

    /// The levels as a grant has them.
    fn written(&self, user: User<'_>, form: Form) -> Result<Vec<String>, Unfit> {
        if self.text.starts_with('$') {
            return Err(Unfit::Reserved);
        }
        if self.levels.len().saturating_sub(1) > MAX_TOPIC_SLASHES {
            return Err(Unfit::Slashes);
        }
        let mut after_wildcard = false;
        let mut levels = Vec::with_capacity(self.levels.len());
        let mut bytes = self.levels.len().saturating_sub(1);
        for level in &self.levels {
            let written = match level {
                Level::Plus | Level::Hash => {
                    after_wildcard = true;
                    "*".to_owned()
                }
                // A `*` before a placeholder is not possible in a grant, so there the value is written.
                Level::Text(pieces) => {
                    let form = if after_wildcard { Form::Values } else { form };
                    if let Some(placeholder) = placeholder(pieces, user, form) {
                        placeholder.to_owned()
                    } else {
                        let value = value(pieces, user).ok_or(Unfit::ClientId)?;
                        if !value.bytes().all(|byte| byte.is_ascii_graphic() && !b"*?{}".contains(&byte)) {
                            return Err(Unfit::Characters);
                        }
                        bytes = bytes.saturating_add(value.len());
                        value
                    }
                }
            };
            levels.push(written);
        }
        if bytes > MAX_TOPIC_BYTES {
            return Err(Unfit::Long);
        }
        Ok(levels)
    }

    fn known(&self, user: User<'_>) -> Vec<Known> {
        let levels = self.levels.iter().map(|level| match level {
            Level::Plus => Known::Plus,
            Level::Hash => Known::Hash,
            Level::Text(pieces) => match (value(pieces, user), pieces.as_slice()) {
                (Some(text), _) => Known::Text(text),
                (None, [Piece::ClientId]) => Known::ClientId,
                (None, _) => Known::Unknown,
            },
        });
        levels.collect()
    }
}

fn pieces(level: &str, placeholders: Option<Placeholders>) -> Vec<Piece> {
    let Some((device, client_id)) = placeholders else { return vec![Piece::Text(level.to_owned())] };
    let (mut pieces, mut text, mut rest) = (Vec::new(), String::new(), level);
    while let Some(first) = rest.chars().next() {
        let found = [(device, Piece::Device), (client_id, Piece::ClientId)];
        let found = found.into_iter().find_map(|(name, piece)| Some((rest.strip_prefix(name)?, piece)));
        if let Some((after, piece)) = found {
            if !text.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut text)));
            }
            pieces.push(piece);
            rest = after;
        } else {
            text.push(first);
            rest = rest.get(first.len_utf8()..).unwrap_or_default();
        }
    }
    if !text.is_empty() || pieces.is_empty() {
        pieces.push(Piece::Text(text));
    }
    pieces
}

/// The placeholder that stands for a level, if one does.
fn placeholder(pieces: &[Piece], user: User<'_>, form: Form) -> Option<&'static str> {
    match (form, pieces) {
        (Form::Values, _) => None,
        (_, [Piece::Device]) => Some("{device}"),
        (_, [Piece::ClientId]) => Some("{client_id}"),
        (Form::PlaceholdersAndOwnName, [Piece::Text(text)]) if text == user.name => Some("{device}"),
        _ => None,
    }
}

/// A level with the values of its placeholders. None if it needs a client id that is not known.
fn value(pieces: &[Piece], user: User<'_>) -> Option<String> {
    let texts = pieces.iter().map(|piece| match piece {
        Piece::Text(text) => Some(text.as_str()),
        Piece::Device => Some(user.name),
        Piece::ClientId => user.client_id,
    });
    texts.collect()
}

/// The topics of levels in which `*` stands for wildcards. `a/#` matches `a` too, which `a/*` does not.
fn with_parent(levels: &[Level], written: &[String]) -> Vec<String> {
    let whole = written.join("/");
    match (levels, written) {
        ([.., before, Level::Hash], [parent @ .., _]) if *before != Level::Plus && *before != Level::Hash => {
            vec![parent.join("/"), whole]
        }
        // `a/+/#` is what is under `a`, and `a/+/+/#` what has two more levels: the last two wildcards are one `*`.
        ([.., Level::Plus, Level::Hash], [front @ .., _]) => vec![front.join("/")],
        _ => vec![whole],
    }
}

/// A wildcard as the first level does not match a topic that begins with `$`.
fn differ_by_dollar(one: &[Known], other: &[Known]) -> bool {
    let is_wild = |levels: &[Known]| matches!(levels.first(), Some(Known::Plus | Known::Hash));
    let is_dollar =
        |levels: &[Known]| matches!(levels.first(), Some(Known::Text(text)) if text.starts_with('$'));
    (is_wild(one) && is_dollar(other)) || (is_dollar(one) && is_wild(other))
}

fn overlap(one: &[Known], other: &[Known]) -> bool {
    match (one, other) {
        ([Known::Hash], _) | (_, [Known::Hash]) | ([], []) => true,
        ([], _) | (_, []) => false,
        ([Known::Text(a), one @ ..], [Known::Text(b), other @ ..]) => a == b && overlap(one, other),
        ([_, one @ ..], [_, other @ ..]) => overlap(one, other),
    }
}

fn covers(wide: &[Known], narrow: &[Known]) -> bool {
    match (wide, narrow) {
        ([Known::Hash], _) | ([], []) => true,
        ([] | [Known::Unknown, ..], _) | (_, [] | [Known::Hash]) => false,
        ([Known::Plus, wide @ ..], [_, narrow @ ..]) => covers(wide, narrow),
        ([a, wide @ ..], [b, narrow @ ..]) => a == b && covers(wide, narrow),
    }
}
