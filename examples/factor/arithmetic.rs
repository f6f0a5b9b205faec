//! Factorising: trial division by small primes, then Pollard's rho.

use super::{Factors, Power};
use slipring::List;

/// Primes that are tried before anything cleverer.
const SMALL: [u64; 12] = [2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37];

/// The factorisation of a number; empty for 0 and 1.
pub(super) fn factorise(number: u64) -> Factors {
    let mut primes = Vec::new();
    let mut rest = number;
    for prime in SMALL {
        while rest > 1 && rest % prime == 0 {
            primes.push(prime);
            rest /= prime;
        }
    }
    split(rest, &mut primes);
    primes.sort_unstable();
    let mut powers: Vec<Power> = Vec::new();
    for prime in primes {
        match powers.last_mut() {
            Some(power) if power.prime == prime => power.exponent += 1,
            _ => powers.push(Power { prime, exponent: 1 }),
        }
    }
    // The product of the first 16 primes needs more than 64 bits, so they always fit.
    Factors { powers: List::from_slice(&powers).unwrap_or_default() }
}

/// Whether `factors` is the factorisation of `number`: found out by multiplying, not by factorising.
pub(super) fn verify(number: u64, factors: &Factors) -> bool {
    let powers = factors.powers.as_slice();
    let is_ascending = powers.windows(2).all(|pair| pair[0].prime < pair[1].prime);
    let product =
        powers.iter().try_fold(1u64, |product, power| product.checked_mul(power.prime.checked_pow(power.exponent)?));
    is_ascending && product == Some(number) && powers.iter().all(|power| power.exponent > 0 && is_prime(power.prime))
}

/// Splits a number without small factors into primes.
fn split(number: u64, primes: &mut Vec<u64>) {
    if number <= 1 {
        return;
    }
    if is_prime(number) {
        primes.push(number);
        return;
    }
    let factor = (1..).find_map(|shift| rho(number, shift)).unwrap_or(number);
    split(factor, primes);
    split(number / factor, primes);
}

/// Looks for a factor of a composite number: the sequence x := x^2 + shift repeats itself modulo a factor long before it
/// does modulo the number. `None` if both happen at once.
fn rho(number: u64, shift: u64) -> Option<u64> {
    const STEPS: usize = 128;
    let step = |x: u64| add(multiply(x, x, number), shift % number, number);
    let (mut slow, mut fast) = (2, 2);
    loop {
        // The differences are multiplied up, so that one greatest common divisor serves many steps.
        let (before, mut product) = ((slow, fast), 1);
        for _ in 0..STEPS {
            slow = step(slow);
            fast = step(step(fast));
            product = multiply(product, slow.abs_diff(fast), number);
        }
        if gcd(product, number) == 1 {
            continue;
        }
        (slow, fast) = before;
        loop {
            slow = step(slow);
            fast = step(step(fast));
            match gcd(slow.abs_diff(fast), number) {
                1 => {}
                factor => return (factor != number).then_some(factor),
            }
        }
    }
}

/// Miller and Rabin's test, whose answer is certain for 64 bits with these bases.
fn is_prime(number: u64) -> bool {
    if number < 2 || SMALL.iter().any(|&prime| number % prime == 0) {
        return SMALL.contains(&number);
    }
    let twos = (number - 1).trailing_zeros();
    SMALL.iter().all(|&base| {
        let mut x = power(base, (number - 1) >> twos, number);
        if x == 1 {
            return true;
        }
        for _ in 0..twos {
            if x == number - 1 {
                return true;
            }
            x = multiply(x, x, number);
        }
        false
    })
}

fn power(base: u64, mut exponent: u64, modulus: u64) -> u64 {
    let (mut base, mut result) = (base % modulus, 1);
    while exponent > 0 {
        if exponent & 1 == 1 {
            result = multiply(result, base, modulus);
        }
        base = multiply(base, base, modulus);
        exponent >>= 1;
    }
    result
}

fn add(a: u64, b: u64, modulus: u64) -> u64 {
    ((u128::from(a) + u128::from(b)) % u128::from(modulus)) as u64
}

fn multiply(a: u64, b: u64, modulus: u64) -> u64 {
    (u128::from(a) * u128::from(b) % u128::from(modulus)) as u64
}

fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}
