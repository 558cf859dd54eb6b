/** The platform answered, but not with what a call needs. The message says what it sent, and what is accepted. */
export class UnusableAnswer extends Error {}
