exports = () => [new Intl.NumberFormat("de").format(1234.5), new Date(0).toLocaleDateString("en-US", { timeZone: "Asia/Tokyo" }), new Date(0).getTimezoneOffset()];
