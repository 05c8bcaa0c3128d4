exports = () => [btoa("hi"), atob("aGk="), new TextDecoder().decode(new TextEncoder().encode("€"))];
