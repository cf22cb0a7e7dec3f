//! The words of the postings: invented companies, titles, places and paragraphs.

#[derive(Clone, Copy)]
pub struct Place {
    pub city: &'static str,
    pub country: &'static str,
    pub code: &'static str,
    pub currency: &'static str,
}

const fn place(city: &'static str, country: &'static str, code: &'static str, currency: &'static str) -> Place {
    Place { city, country, code, currency }
}

pub const PLACES: &[Place] = &[
    place("Berlin", "Germany", "DE", "EUR"),
    place("Hamburg", "Germany", "DE", "EUR"),
    place("Vienna", "Austria", "AT", "EUR"),
    place("Lisbon", "Portugal", "PT", "EUR"),
    place("Utrecht", "Netherlands", "NL", "EUR"),
    place("Leeds", "the United Kingdom", "GB", "GBP"),
    place("Galway", "Ireland", "IE", "EUR"),
    place("Portland", "the United States", "US", "USD"),
    place("Austin", "the United States", "US", "USD"),
    place("Toronto", "Canada", "CA", "CAD"),
];

pub const COMPANIES: &[&str] = &[
    "Larkfield Instruments",
    "Osmunda Tide",
    "Brindle & Quay",
    "Northmere Logistics",
    "Pellucid Maps",
    "Tarnwick Energy",
    "Halcyon Grove Foods",
    "Copperfen Robotics",
    "Saltmarsh Studio",
    "Verrian Health",
    "Kestrelyard Rail",
    "Muddle Lane Books",
];

pub const TITLES: &[(&str, &str)] = &[
    ("Backend Engineer", "Engineering"),
    ("Data Analyst", "Insights"),
    ("Product Designer", "Design"),
    ("Customer Success Manager", "Customers"),
    ("Site Reliability Engineer", "Engineering"),
    ("Technical Writer", "Documentation"),
    ("Warehouse Planner", "Operations"),
    ("Mechanical Engineer", "Hardware"),
    ("Office Coordinator", "People"),
    ("Machine Learning Engineer", "Research"),
    ("Account Executive", "Sales"),
    ("Quality Engineer", "Engineering"),
];

pub const LEVELS: &[&str] = &["", "Senior ", "Junior ", "Lead "];
pub const WORKPLACES: &[&str] = &["On-site", "Hybrid", "Remote", "Hybrid, two days a week"];

/// What people read, and the name of the same thing in schema.org's vocabulary.
pub const EMPLOYMENT: &[(&str, &str)] =
    &[("Full-time", "FULL_TIME"), ("Part-time", "PART_TIME"), ("Contract", "CONTRACTOR")];

pub const INTRODUCTIONS: &[&str] = &[
    "We are a team of forty who build tools that people use every day without noticing.",
    "For eleven years we have looked after the unglamorous parts of our customers' work.",
    "We are small, profitable and in no hurry, and we would like to keep it that way.",
    "Three hundred thousand people rely on what we make. Most of them never think about it.",
];

pub const TASKS: &[&str] = &[
    "Own a part of the product from the first sketch to the first complaint.",
    "Work side by side with the people who use what you build.",
    "Leave things a little tidier than you found them.",
    "Write down what you learned so that nobody has to learn it twice.",
    "Help us decide what not to do.",
    "Take part in a calm on-call rota, one week in eight.",
    "Turn loose ideas into plans that survive a Tuesday.",
];

pub const WISHES: &[&str] = &[
    "Three or more years in a comparable role.",
    "A clear way of writing.",
    "Patience with old systems and new colleagues.",
    "Good English; a second language is welcome.",
    "Curiosity about how things are really used.",
    "Experience with distributed teams.",
];
