exports = () => { throw "plain"; };
