//! The words around the form: checks, refusals, codes and sign-ins, each in several ways.

pub const FRAME_TITLES: &[&str] = &["Application form", "Apply", "Job application", "Embedded content"];
pub const FRAME_HEADING: &str = "Apply for this position";

pub const CHECK_HEADINGS: &[&str] =
    &["Security check", "Are you human?", "One quick check", "Please confirm that you are a person", "Verification"];
pub const CHECK_INSTRUCTIONS: &[&str] = &[
    "Type the characters you see in the picture.",
    "Enter the letters and digits shown in the image to continue.",
    "To keep robots out, we ask you to copy the text from the picture below.",
    "Please write down the characters in the box. Upper and lower case do not matter.",
];
pub const CHECK_LABELS: &[&str] = &["Characters", "Text from the picture", "What do you see?", "Security code"];
pub const CHECK_BUTTONS: &[&str] = &["Verify", "Continue", "I am human", "Check", "Confirm"];
pub const CHECK_WRONG: &[&str] = &[
    "That was not right. Please try the new picture.",
    "The characters did not match. Here is another picture.",
    "Incorrect answer, please try again.",
];

/// Heading and sentence of the page that turns a browser away.
pub const BLOCKED: &[(&str, &str)] = &[
    ("Access denied", "You do not have permission to view this page. If you think this is an error, contact the site."),
    ("Unusual traffic", "Our systems have detected unusual traffic from your browser. Please try again later."),
    ("Sorry, you have been blocked", "This website uses a security service to protect itself from automated access."),
    ("Automated access is not allowed", "It looks like you are using an automated tool to visit this site."),
    ("403 Forbidden", "Your request looks automated and was not allowed."),
];
pub const BROWSER_WAITING: &[&str] = &["Just a moment…", "Checking your browser…", "One second, please…"];

pub const LOADING: &[&str] =
    &["Loading…", "Please wait, the form is loading…", "Loading application form", "One moment…"];
/// Comes into the page when a form moves, and pushes everything down.
pub const MOVED_NOTICE: &str = "New: you can now apply in under five minutes.";

/// Heading and sentence of a posting that takes no applications.
pub const CLOSED: &[(&str, &str)] = &[
    ("This job is no longer available", "The position has been closed. Have a look at our other jobs."),
    ("No longer accepting applications", "Thank you for your interest. We are no longer accepting applications."),
    ("This position has been filled", "We have found somebody for this role."),
    ("Applications are closed", "The deadline for this posting has passed."),
    ("This job posting has expired", "The posting you are looking for is not active any more."),
];

pub const CODE_HEADINGS: &[&str] =
    &["Check your inbox", "Confirm your e-mail address", "Enter your verification code", "We sent you a code"];
/// `{email}` is the address as it was typed.
pub const CODE_INSTRUCTIONS: &[&str] = &[
    "We sent a code to {email}. Enter it below to complete your application.",
    "To finish your application, please enter the code from the e-mail that we have just sent to {email}.",
    "Please enter the verification code that was sent to {email}.",
];
pub const CODE_LABELS: &[&str] = &["Verification code", "Code", "Code from the e-mail", "One-time code"];
pub const CODE_BUTTONS: &[&str] = &["Verify", "Confirm", "Complete application", "Submit code"];
pub const CODE_WRONG: &[&str] =
    &["This code is not correct.", "The code does not match.", "That is not the code that we sent."];
pub const CODE_RESEND: &[&str] = &["Send a new code", "Resend code", "I did not get a code"];
pub const CODE_USED_UP: &str = "Too many wrong codes. Please ask for a new one.";
pub const CODE_SENT_AGAIN: &str = "A new code is on its way.";
pub const CODE_NOT_SENT: &str = "No more codes can be sent for this application.";

pub const SIGN_IN_HEADINGS: &[&str] =
    &["Sign in to apply", "Log in", "Welcome back", "Please sign in to continue", "Candidate login"];
pub const SIGN_IN_EMAILS: &[&str] = &["Email", "E-mail address", "Your email"];
pub const SIGN_IN_NAMES: &[&str] = &["User name", "Username", "Login name"];
pub const SIGN_IN_PASSWORDS: &[&str] = &["Password", "Your password"];
pub const SIGN_IN_BUTTONS: &[&str] = &["Sign in", "Log in", "Continue", "Login"];
pub const SIGN_IN_WRONG: &[&str] = &[
    "The user or the password is not correct.",
    "Invalid credentials. Please try again.",
    "We could not sign you in with this password.",
];

/// Asked of those who say that they may not work yet; no profile knows.
pub const PERMIT_QUESTIONS: &[&str] = &[
    "Please describe the permit or visa that you would need.",
    "Which steps have you taken to obtain a work permit?",
    "What kind of support would you need from us?",
];
/// Asked of everybody who says yes to the question before it.
pub const MORE_QUESTIONS: &[&str] =
    &["Tell us a little more about that.", "Is there anything that we should know about this answer?"];
