//! The GSM 03.38 default alphabet and its extension table.

/// Septets of each ASCII character: 0 is not in the alphabet, 2 is in the extension table.
const ASCII: [u8; 128] = ascii();

const fn ascii() -> [u8; 128] {
    let mut septets = [1; 128];
    let mut code = 0;
    while code < 128 {
        // Control characters, backtick and DEL are not text; what is follows.
        if code < 0x20 || code == 0x60 || code == 0x7f {
            septets[code] = 0;
        }
        code += 1;
    }
    septets[b'\n' as usize] = 1;
    septets[b'\r' as usize] = 1;
    let extension = b"\x0c^{}\\[~]|";
    let mut index = 0;
    while index < extension.len() {
        septets[extension[index] as usize] = 2;
        index += 1;
    }
    septets
}

/// How many septets a character takes in GSM-7, 1 or 2; `None` when it is not in the alphabet.
pub fn gsm7_septets(character: char) -> Option<u8> {
    if let Some(septets) = ASCII.get(character as usize) {
        return (*septets > 0).then_some(*septets);
    }
    match character {
        '£' | '¥' | 'è' | 'é' | 'ù' | 'ì' | 'ò' | 'Ç' | 'Ø' | 'ø' | 'Å' | 'å' | 'Æ' | 'æ' | 'ß'
        | 'É' | '¤' | '¡' | 'Ä' | 'Ö' | 'Ñ' | 'Ü' | '§' | '¿' | 'ä' | 'ö' | 'ñ' | 'ü' | 'à'
        | 'Δ' | 'Φ' | 'Γ' | 'Λ' | 'Ω' | 'Π' | 'Ψ' | 'Σ' | 'Θ' | 'Ξ' => Some(1),
        '€' => Some(2),
        _ => None,
    }
}

/// Whether the whole text can be sent in GSM-7.
pub fn is_gsm7(text: &str) -> bool {
    text.chars().all(|character| gsm7_septets(character).is_some())
}
