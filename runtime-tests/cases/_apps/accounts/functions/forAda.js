exports = () => "for Ada";
