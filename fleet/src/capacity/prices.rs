//! The prices of a bill: a file that a person fills in, each price with the day and the page on which it was read.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::Path};

use anyhow::Context as _;
use cli::console::ErrorList;
use serde::{Deserialize, de::IgnoredAny};

use super::model::Month;

/// The name of a price, what it is for, how many make one priced unit, and how many a month has.
type BillLine = (&'static str, &'static str, f64, fn(&Month) -> f64);

/// The lines of a bill.
const LINES: [BillLine; 5] = [
    ("connection_minutes", "1,000,000 minutes of connection (AWS IoT Core)", 1e6, |month| month.minutes),
    ("messages", "1,000,000 messages of up to 5 KB (AWS IoT Core)", 1e6, |month| month.messages),
    ("function_requests", "1,000,000 requests (AWS Lambda)", 1e6, |month| month.calls),
    ("function_gb_seconds", "1 GB-second of the function's architecture (AWS Lambda)", 1.0, |month| {
        month.gb_seconds
    }),
    ("read_units", "1,000,000 read request units, on demand (Amazon DynamoDB)", 1e6, |month| month.units),
];

/// The prices of a file.
pub(super) struct Prices {
    pub(super) currency: String,
    by_name: BTreeMap<&'static str, Price>,
}

/// A price, and how it is known.
pub(super) struct Price {
    pub(super) value: f64,
    pub(super) date: String,
    pub(super) page: String,
}

/// One line of a bill.
pub(super) struct Line<'p> {
    pub(super) name: &'static str,
    pub(super) amount: f64,
    pub(super) cost: f64,
    pub(super) price: &'p Price,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    currency: String,
    prices: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    price: Number,
    date: String,
    page: String,
}

/// A price as a number, or something else, such as the empty text of the template.
#[derive(Deserialize)]
#[serde(untagged)]
enum Number {
    Decimal(f64),
    Whole(u32),
    Other(IgnoredAny),
}

/// The file of prices without values.
pub(super) fn template() -> String {
    let mut text = "# The prices of your region, each with the day on which you read it and the page.\n\
                    # A price is a number: price = 0.08\ncurrency = \"\"\n"
        .to_owned();
    for (name, unit, ..) in LINES {
        _ = write!(text, "\n# for {unit}\n[prices.{name}]\nprice = \"\"\ndate = \"\"\npage = \"\"\n");
    }
    text
}

impl Prices {
    /// Reads a file in which every price has a value.
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("can't read `{}`", path.display()))?;
        Self::parse(&text).with_context(|| format!("can't use the prices in `{}`", path.display()))
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let File { currency, mut prices } = toml::from_str(text).map_err(|error| {
            // The whole error repeats the file over several lines.
            anyhow::anyhow!("{}", error.message())
        })?;
        let mut faults = Vec::new();
        if currency.is_empty() {
            faults.push("`currency` is empty: write USD, for example".to_owned());
        }
        let mut by_name = BTreeMap::new();
        for (name, unit, ..) in LINES {
            let Some(Entry { price, date, page }) = prices.remove(name) else {
                faults.push(format!("`prices.{name}` is missing: the price for {unit}"));
                continue;
            };
            let number = match price {
                Number::Decimal(number) => Some(number),
                Number::Whole(number) => Some(f64::from(number)),
                Number::Other(_) => None,
            };
            match number.filter(|number| number.is_finite() && *number >= 0.0) {
                None => faults.push(format!("`prices.{name}.price` is not a number: the price for {unit}")),
                Some(value)
                    if humantime::parse_rfc3339_weak(&format!("{date} 00:00:00")).is_ok()
                        && !page.is_empty() =>
                {
                    by_name.insert(name, Price { value, date, page });
                }
                Some(_) => {
                    faults.push(format!("`prices.{name}` needs a `date` such as 2026-11-30, and a `page`"));
                }
            }
        }
        faults.extend(prices.keys().map(|name| format!("`prices.{name}` is no price of this bill")));
        if faults.is_empty() {
            return Ok(Self { currency, by_name });
        }
        Err(ErrorList::new("the bill needs every price:".to_owned(), faults).into())
    }

    /// The lines of a month's bill. AWS's free tiers and discounts are not in it.
    pub(super) fn bill(&self, month: &Month) -> Vec<Line<'_>> {
        let lines = LINES.into_iter().filter_map(|(name, _, units, of)| {
            let (price, amount) = (self.by_name.get(name)?, of(month));
            Some(Line { name, amount, cost: amount / units * price.value, price })
        });
        lines.collect()
    }
}

/// The sum of a bill.
pub(super) fn total(lines: &[Line<'_>]) -> f64 {
    lines.iter().map(|line| line.cost).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled() -> String {
        let text =
            template().replace("currency = \"\"", "currency = \"USD\"").replace("price = \"\"", "price = 2");
        text.replace("date = \"\"", "date = \"2026-11-30\"").replace("page = \"\"", "page = \"a page\"")
    }

    #[test]
    fn template_names_every_price_and_is_refused_until_it_is_filled_in() {
        let error = format!("{:#}", Prices::parse(&template()).err().unwrap());
        assert_eq!(error.lines().count(), 1 + 1 + LINES.len(), "{error}");
        for (name, ..) in LINES {
            assert!(error.contains(&format!("`prices.{name}.price` is not a number")), "{error}");
        }
        for (from, to, part) in [
            ("price = 2", "price = -1", "is not a number"),
            ("2026-11-30", "November", "needs a `date` such as 2026-11-30, and a `page`"),
            ("a page", "", "needs a `date`"),
            ("\"USD\"", "\"\"", "`currency` is empty"),
            ("[prices.messages]", "[prices.massages]", "`prices.messages` is missing"),
            ("[prices.messages]", "[prices.massages]", "`prices.massages` is no price of this bill"),
            ("currency", "curency", "unknown field `curency`"),
        ] {
            let error = format!("{:#}", Prices::parse(&filled().replace(from, to)).err().unwrap());
            assert!(error.contains(part), "{to}: {error}");
        }
    }

    #[test]
    fn bill_is_amounts_times_prices() {
        let prices = Prices::parse(&filled()).unwrap();
        let month = Month { minutes: 3e6, messages: 5e5, calls: 1e6, gb_seconds: 7.0, units: 0.0 };
        let costs = prices.bill(&month).iter().map(|line| line.cost).collect::<Vec<_>>();
        assert_eq!(costs, [6.0, 1.0, 2.0, 14.0, 0.0]);
        assert!(prices.bill(&month).iter().all(|line| line.price.date == "2026-11-30"));
    }
}
