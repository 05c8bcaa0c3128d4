//! Collations: how strings compare when a command, a collection or an index asks for a language's order.
//!
//! ICU4X's collator computes the Unicode Collation Algorithm with CLDR's tailorings, the same data MongoDB's ICU uses;
//! folding case ourselves would get accents, digraphs and locales wrong.

use std::cmp::Ordering;
use std::fmt;

use bson::{Bson, Document, doc};
use icu_collator::options::{AlternateHandling, CaseLevel, CollatorOptions, MaxVariable, Strength};
use icu_collator::{CollatorBorrowed, CollatorPreferences};
use icu_locale_core::Locale;

use super::value::ValueRef;
use crate::error::{CommandError, CommandResult};

/// A collation other than the simple one.
pub struct Collation {
    collator: CollatorBorrowed<'static>,
    specification: Document,
}

impl fmt::Debug for Collation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Collation").field(&self.specification).finish()
    }
}

impl PartialEq for Collation {
    fn eq(&self, other: &Self) -> bool {
        self.specification == other.specification
    }
}

impl Collation {
    /// Reads `{ locale, strength?, caseLevel?, caseFirst?, numericOrdering?, alternate?, maxVariable?, backwards?,
    /// normalization?, version? }`. `None` is the simple collation: bytes.
    ///
    /// Errors: `BadValue` for values that are not among the allowed ones, `TypeMismatch` for types,
    /// `FailedToParse` for unknown fields and a missing locale (MongoDB manual, "Collation").
    pub fn parse(specification: &Document) -> CommandResult<Option<Self>> {
        if specification.is_empty() {
            return Ok(None);
        }
        let mut parsed = Specification::default();
        for (name, value) in specification {
            parsed.read(name, value)?;
        }
        parsed.build()
    }

    /// Everything the collation fixes, defaults filled in, as `listIndexes` and `listCollections` show it.
    pub fn specification(&self) -> &Document {
        &self.specification
    }

    /// The order of two strings.
    pub fn compare(&self, left: &str, right: &str) -> Ordering {
        self.collator.compare(left, right)
    }

    /// Bytes that order and equate as [`Collation::compare`] does.
    pub fn key(&self, text: &str) -> Vec<u8> {
        let mut key = Vec::with_capacity(text.len() * 2);
        match self.collator.write_sort_key_to(text, &mut key) {
            Ok(()) => key,
        }
    }
}

/// Languages with a collation (MongoDB manual, "Supported Languages and Locales"); others are refused rather than
/// compared by the root order.
pub(super) const LANGUAGES: [&str; 102] = [
    "af", "am", "ar", "as", "az", "be", "bg", "bn", "bo", "bs", "ca", "chr", "cs", "cy", "da", "de", "dsb", "dz", "ee",
    "el", "en", "eo", "es", "et", "fa", "fi", "fil", "fo", "fr", "ga", "gl", "gu", "ha", "haw", "he", "hi", "hr",
    "hsb", "hu", "hy", "id", "ig", "is", "it", "ja", "ka", "kk", "kl", "km", "kn", "ko", "kok", "ky", "lb", "lkt",
    "ln", "lo", "lt", "lv", "mk", "ml", "mn", "mr", "ms", "mt", "my", "nb", "ne", "nl", "nn", "no", "om", "or", "pa",
    "pl", "ps", "pt", "ro", "ru", "se", "si", "sk", "sl", "smn", "sq", "sr", "sv", "sw", "ta", "te", "th", "to", "tr",
    "ug", "uk", "ur", "vi", "wae", "yi", "yo", "zh", "zu",
];

#[derive(Default)]
struct Specification {
    locale: Option<String>,
    strength: Option<i32>,
    case_level: bool,
    case_first: Option<String>,
    numeric_ordering: bool,
    alternate: Option<String>,
    max_variable: Option<String>,
    normalization: bool,
    backwards: Option<bool>,
}

impl Specification {
    fn read(&mut self, name: &str, value: &Bson) -> CommandResult<()> {
        match name {
            "locale" => self.locale = Some(text(name, value)?),
            "strength" => {
                let number = ValueRef::from(value);
                if !number.is_number() {
                    return Err(wrong_type(name, value, "number"));
                }
                let strength = number.as_exact_i64().unwrap_or(0);
                if !(1..=5).contains(&strength) {
                    return Err(CommandError::failed_to_parse(format!(
                        "Field 'strength' must be an integer 1 through 5. Got: {value}"
                    )));
                }
                self.strength = Some(strength as i32);
            }
            "caseLevel" => self.case_level = flag(name, value)?,
            "caseFirst" => self.case_first = Some(choice(name, value, &["upper", "lower", "off"])?),
            "numericOrdering" => self.numeric_ordering = flag(name, value)?,
            "alternate" => self.alternate = Some(choice(name, value, &["non-ignorable", "shifted"])?),
            "maxVariable" => self.max_variable = Some(choice(name, value, &["punct", "space"])?),
            "normalization" => self.normalization = flag(name, value)?,
            "backwards" => self.backwards = Some(flag(name, value)?),
            "version" => drop(text(name, value)?),
            _ => {
                return Err(CommandError::new(40415, format!("BSON field 'collation.{name}' is an unknown field.")));
            }
        }
        Ok(())
    }

    fn build(self) -> CommandResult<Option<Collation>> {
        let Some(locale) = self.locale else {
            return Err(CommandError::new(40414, "BSON field 'collation.locale' is missing but a required field"));
        };
        if locale == "simple" {
            return Ok(None);
        }
        let invalid = || CommandError::bad_value(format!("Field 'locale' is invalid in: {{ locale: \"{locale}\" }}"));
        let (language, variant) = match locale.split_once("@collation=") {
            Some((language, variant)) => (language, Some(variant)),
            None => (locale.as_str(), None),
        };
        let mut tag = language.replace('_', "-");
        if let Some(variant) = variant {
            // ICU's names of variants, where those of language tags differ.
            let variant = match variant {
                "phonebook" => "phonebk",
                "traditional" => "trad",
                "dictionary" => "dict",
                "gb2312han" => "gb2312",
                other => other,
            };
            tag = format!("{tag}-u-co-{variant}");
        }
        let mut keywords = String::new();
        match self.case_first.as_deref() {
            Some("upper") => keywords.push_str("-kf-upper"),
            Some("lower") => keywords.push_str("-kf-lower"),
            _ => {}
        }
        if self.numeric_ordering {
            keywords.push_str("-kn-true");
        }
        if !keywords.is_empty() {
            if !tag.contains("-u-") {
                tag.push_str("-u");
            }
            tag.push_str(&keywords);
        }
        let parsed: Locale = tag.parse().map_err(|_| invalid())?;
        if !LANGUAGES.contains(&parsed.id.language.as_str()) {
            return Err(invalid());
        }
        let strength = self.strength.unwrap_or(3);
        let mut options = CollatorOptions::default();
        options.strength = Some(match strength {
            1 => Strength::Primary,
            2 => Strength::Secondary,
            4 => Strength::Quaternary,
            5 => Strength::Identical,
            _ => Strength::Tertiary,
        });
        options.case_level = Some(if self.case_level { CaseLevel::On } else { CaseLevel::Off });
        options.alternate_handling = Some(match self.alternate.as_deref() {
            Some("shifted") => AlternateHandling::Shifted,
            _ => AlternateHandling::NonIgnorable,
        });
        options.max_variable = Some(match self.max_variable.as_deref() {
            Some("space") => MaxVariable::Space,
            _ => MaxVariable::Punctuation,
        });
        // Accents are weighed from the end only in Canadian French, and there by the locale's own data.
        let backwards = self.backwards.unwrap_or(parsed.to_string().starts_with("fr-CA"));
        let collator = CollatorBorrowed::try_new(CollatorPreferences::from(&parsed), options).map_err(|_| invalid())?;
        let specification = doc! {
            "locale": &locale,
            "caseLevel": self.case_level,
            "caseFirst": self.case_first.as_deref().unwrap_or("off"),
            "strength": strength,
            "numericOrdering": self.numeric_ordering,
            "alternate": self.alternate.as_deref().unwrap_or("non-ignorable"),
            "maxVariable": self.max_variable.as_deref().unwrap_or("punct"),
            "normalization": self.normalization,
            "backwards": backwards,
            "version": "57.1",
        };
        Ok(Some(Collation { collator, specification }))
    }
}

fn wrong_type(name: &str, value: &Bson, wanted: &str) -> CommandError {
    let found = ValueRef::from(value).type_name();
    CommandError::type_mismatch(format!(
        "BSON field 'collation.{name}' is the wrong type '{found}', expected type '{wanted}'"
    ))
}

fn text(name: &str, value: &Bson) -> CommandResult<String> {
    value.as_str().map(str::to_owned).ok_or_else(|| wrong_type(name, value, "string"))
}

fn flag(name: &str, value: &Bson) -> CommandResult<bool> {
    value.as_bool().ok_or_else(|| wrong_type(name, value, "bool"))
}

fn choice(name: &str, value: &Bson, allowed: &[&str]) -> CommandResult<String> {
    let chosen = text(name, value)?;
    if allowed.contains(&chosen.as_str()) {
        Ok(chosen)
    } else {
        Err(CommandError::bad_value(format!(
            "Enumeration value '{chosen}' for field 'collation.{name}' is not a valid value."
        )))
    }
}
