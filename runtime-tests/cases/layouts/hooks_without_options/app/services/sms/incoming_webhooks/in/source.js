exports = (message) => message.From;
