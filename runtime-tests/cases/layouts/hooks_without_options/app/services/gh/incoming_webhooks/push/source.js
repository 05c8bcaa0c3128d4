exports = (event) => event.ref;
